# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# What an observer has found out about accesses of one instruction: it holds as long as the token for the instruction means
# the same (Vcpu.epoch), and the code selector and what is accessed how are the same. CPL is a part of what a token means.
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from hyperport.bus.access cimport Access
from hyperport.cpu.vcpu cimport Vcpu, exact_token

cdef enum:
    MEMOS = 1024            # a power of two
    COUNTERS = 1024         # likewise

cdef struct Memo:
    uintptr_t token         # 0: free
    uint64_t what
    uint32_t epoch
    uint32_t selector
    uint32_t found          # the observer's own
    uint32_t block          # the observer's own

cdef struct Counter:        # counts accesses of one instruction to one port for an observer
    uintptr_t token
    uint64_t what           # tally_index() of the access, or memory_index(); all ones: free
    uint32_t epoch
    uint32_t selector
    uint64_t *counts        # elements and crossings

cdef struct Counting:       # lets the bus count for an observer what it need not see
    Counter counters[COUNTERS]
    uint32_t countdown      # of accesses: while it is above 1, those with a counter are not told

cdef inline uint64_t what_of(const Access *access) noexcept nogil:
    return (<uint64_t> access.port << 32 | access.crossings << 24 | access.path << 16 | access.size << 8
            | access.space << 1 | access.direction)


cdef inline uintptr_t token_of(const Access *access) noexcept nogil:
    """What stands for the instruction: the engine's token, or EIP where that is exact; 0 where nothing does."""
    if access.vcpu == NULL or (<Vcpu> access.vcpu).selector == NULL or access.token == 1:
        return 0
    return access.token if access.token else exact_token(<Vcpu> access.vcpu)


cdef inline Memo *memo_of(Memo *memos, uintptr_t token) noexcept nogil:
    """Where it stands, or is to stand. See is_known()."""
    return &memos[(token >> 2) & (MEMOS - 1)]


cdef inline bint is_known(const Memo *memo, uintptr_t token, const Access *access, uint64_t what) noexcept nogil:
    return (memo.token == token and memo.what == what and memo.epoch == (<Vcpu> access.vcpu).epoch
            and memo.selector == (<Vcpu> access.vcpu).selector[0])


cdef inline void remember(Memo *memo, uintptr_t token, const Access *access, uint64_t what) noexcept nogil:
    memo.token = token
    memo.what = what
    memo.epoch = (<Vcpu> access.vcpu).epoch
    memo.selector = (<Vcpu> access.vcpu).selector[0]


cdef inline void free_counters(Counting *counting) noexcept nogil:
    memset(counting.counters, 0xFF, sizeof(counting.counters))


cdef inline Counter *counter_of(Counting *counting, uintptr_t token, uint64_t what) noexcept nogil:
    """Where it stands, or is to stand: an instruction in a function like inb() accesses many ports."""
    return &counting.counters[(token >> 2 ^ what) & (COUNTERS - 1)]


cdef inline bint count_known(Counting *counting, const Access *access, uint64_t what) noexcept nogil:
    """Count the access, if it has a counter and the observer need not see it. A counter's token comes from token_of()."""
    cdef uintptr_t token = access.token if access.token else token_of(access)
    cdef Counter *counter = counter_of(counting, token, what)
    if (counter.what != what or counter.token != token or counter.epoch != (<Vcpu> access.vcpu).epoch
            or counter.selector != (<Vcpu> access.vcpu).selector[0] or counting.countdown <= 1):
        return False
    counting.countdown -= 1
    counter.counts[0] += access.count
    counter.counts[1] += access.crossings
    return True


cdef inline void count_from_now(Counting *counting, const Access *access, uint64_t what, uint64_t *counts) noexcept nogil:
    """Accesses like this one are known, and counted there; unless nothing tells which they are."""
    cdef uintptr_t token = token_of(access)
    cdef Counter *counter = counter_of(counting, token, what)
    if token:
        counter.token = token
        counter.what = what
        counter.epoch = (<Vcpu> access.vcpu).epoch
        counter.selector = (<Vcpu> access.vcpu).selector[0]
        counter.counts = counts
