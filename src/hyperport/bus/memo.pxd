# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# What an observer has found out about accesses of one instruction: it holds as long as the engine's token for the
# instruction means the same (Vcpu.epoch), and the code selector and what is accessed how are the same. CPL is a part of
# what a token means.
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uintptr_t

from hyperport.bus.access cimport Access
from hyperport.cpu.vcpu cimport Vcpu

cdef enum:
    MEMOS = 1024            # a power of two

cdef struct Memo:
    uintptr_t token         # 0: free
    uint64_t what
    uint32_t epoch
    uint32_t selector
    uint32_t found          # the observer's own
    uint32_t block          # the observer's own
    uint64_t *counters      # of Counting: elements and crossings of accesses like it

cdef struct Counting:       # lets PortBus.carry_counted() count for an observer what it need not see
    Memo memos[MEMOS]       # with counters where the observer knows the instruction
    uint32_t countdown      # of elements: while it is above 1, those of known instructions are not told


cdef inline uint64_t what_of(const Access *access) noexcept nogil:
    return (<uint64_t> access.port << 32 | access.crossings << 24 | access.path << 16 | access.size << 8
            | access.space << 1 | access.direction)


cdef inline Memo *memo_of(Memo *memos, const Access *access) noexcept nogil:
    """Where it stands, or is to stand; NULL where the access's token says nothing about others. See is_known()."""
    if access.token <= 1 or access.vcpu == NULL or (<Vcpu> access.vcpu).selector == NULL:
        return NULL
    return &memos[(access.token >> 2) & (MEMOS - 1)]


cdef inline bint is_known(const Memo *memo, const Access *access, uint64_t what) noexcept nogil:
    return (memo.token == access.token and memo.what == what and memo.epoch == (<Vcpu> access.vcpu).epoch
            and memo.selector == (<Vcpu> access.vcpu).selector[0])


cdef inline void remember(Memo *memo, const Access *access, uint64_t what) noexcept nogil:
    memo.token = access.token
    memo.what = what
    memo.epoch = (<Vcpu> access.vcpu).epoch
    memo.selector = (<Vcpu> access.vcpu).selector[0]
