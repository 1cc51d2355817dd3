# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.vcpu cimport GuestCpu

cdef int fetch_and_decode(GuestCpu cpu, PortInstruction *instruction) noexcept nogil
