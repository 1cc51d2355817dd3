# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.vcpu cimport Vcpu

cdef int fetch_and_decode(Vcpu vcpu, PortInstruction *instruction) noexcept nogil
