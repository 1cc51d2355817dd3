# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Fetch: the bytes at CS:EIP, through the guest's segment and page tables, and what port instruction they are."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from hyperport.cpu.decode cimport DECODE_MORE, PortInstruction, decode_port_instruction
from hyperport.cpu.vcpu cimport Vcpu

cdef enum:
    PAGE_SIZE = 4096
    LONGEST = 15            # bytes of an i386 instruction
    CODE_SEGMENT = 1


cdef int fetch_and_decode(Vcpu vcpu, PortInstruction *instruction) noexcept nogil:
    """Decode what stands at CS:EIP: its length, or 0 or less if it is no port instruction. May fault."""
    cdef uint8_t joined[LONGEST]
    cdef uint32_t linear = vcpu.segment_base(CODE_SEGMENT) + vcpu.instruction_pointer()
    cdef uint32_t available = PAGE_SIZE - (linear & (PAGE_SIZE - 1))
    cdef const uint8_t *code = vcpu.code_at(linear)
    cdef bint code32 = vcpu.code_is_32_bit()
    cdef int length
    if code == NULL:
        return 0
    length = decode_port_instruction(code, available, code32, instruction)
    if length == DECODE_MORE and available < LONGEST:
        memcpy(joined, code, available)
        code = vcpu.code_at(linear + available)
        if code == NULL:
            return 0
        memcpy(joined + available, code, LONGEST - available)
        length = decode_port_instruction(joined, LONGEST, code32, instruction)
    return length
