# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A translator that translates nothing: it reads code through the opcode filter as the core's does, for unit tests.

Around the filter there is no engine and no library: a CPU of which only what the filter looks at is set, code in a flat
piece of memory, and faults that come back as GuestFaultError.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from hyperport.cpu.vcpu cimport EFLAGS_RF, EFLAGS_VM, VECTOR_PF
from hyperport.engines.unicorn.code_filter cimport CodeFilter, filtered_byte, forget_position
from hyperport.engines.unicorn.fidelity.mend cimport enter_guest, leave_guest
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.engines.unicorn.library cimport Library

from hyperport.engines.shared.scripted_vcpu import GuestFaultError
from hyperport.errors import ConfigError

include "layout.pxi"

cdef extern from "../shared/way_out.h":
    enum:
        HP_FAULTED
    int hp_guarded(int (*call)(void *context, uint32_t number) noexcept nogil, void *context, uint32_t number) nogil
    void hp_leave() nogil

cdef enum:
    PAGE = 4096
    ROOM = 4 * PAGE                 # of code, at linear address 0
    ENV_SIZE = 8192                 # bytes of the core's CPUX86State that the filter may look at
    TCG_SIZE = 32768                # and of its TCGContext
    OP_SIZE = 64
    FLAT_DATA = 0x00C09300          # present, DPL 0, 4 GiB, 32-bit, data, written
    OPCODES = 1                     # places in the core, as the filter knows them
    OPERANDS = 2

cdef void *reading = NULL           # the ScriptedTranslator at work


cdef uint32_t fetch_byte(void *env, uint64_t address) noexcept nogil:
    return (<ScriptedTranslator> reading).fetch(address)


cdef uint64_t code_page_host(void *env, uint64_t address, void **host) noexcept nogil:
    host[0] = (<ScriptedTranslator> reading).host_of(address)
    return 0


cdef void raise_exception(void *env, int vector, int error_code) noexcept nogil:
    (<ScriptedTranslator> reading).fault(vector, 0)


cdef int read_it(void *context, uint32_t address) noexcept nogil:
    return <int> (<ScriptedTranslator> context).read(address)


cdef class ScriptedTranslator:
    """code: stands at linear address at; all else is zero, up to ROOM. What the mode is, at construction:

    code32, protected, v8086: bits of CS, CR0 and EFLAGS. cpl, iopl: levels. limit: of CS, less than 4 GiB makes
    segments not flat. breakpoints: I/O breakpoints are enabled. resumed: RF is set. absent: numbers of pages that fault;
    device: numbers of pages that are no RAM.
    """

    cdef CodeFilter filter
    cdef Library lib
    cdef uint8_t env[ENV_SIZE]
    cdef uint8_t tcg[TCG_SIZE]
    cdef uint8_t op[OP_SIZE]                    # the only one of the block, all zero
    cdef void *op_link[2]                       # of a list: the next, and where the link before points to the op
    cdef void *to_op
    cdef uint8_t code[ROOM]
    cdef uint32_t absent_pages, device_pages    # a bit for each
    cdef uint32_t limit
    cdef uintptr_t caller
    cdef uint32_t fault_vector, fault_address
    cdef readonly int fetched                   # bytes that were read of memory, one by one

    def __init__(self, bytes code not None, uint32_t at=0x100, *, bint code32=True, bint protected=True, bint v8086=False,
                 uint32_t cpl=0, uint32_t iopl=0, uint32_t limit=0xFFFFFFFF, bint breakpoints=False, bint resumed=False,
                 absent=(), device=()):
        cdef char *env = <char *> self.env
        cdef int i
        if at + len(code) > ROOM:
            raise ConfigError(f"the code must end before {<int> ROOM:#x}")
        for i in range(len(code)):
            self.code[at + i] = code[i]
        self.absent_pages = sum(1 << page for page in absent)
        self.device_pages = sum(1 << page for page in device)
        for i in range(6):
            u32(env, ENV_SEGS + i * SEGMENT_SIZE + SEGMENT_LIMIT)[0] = 0xFFFFFFFF
            u32(env, ENV_SEGS + i * SEGMENT_SIZE + SEGMENT_FLAGS)[0] = FLAT_DATA
        u64(env, ENV_CR)[0] = protected
        u64(env, ENV_EFLAGS)[0] = iopl << 12 | (EFLAGS_VM if v8086 else 0) | (EFLAGS_RF if resumed else 0)
        u32(env, ENV_HFLAGS)[0] = cpl | (HFLAG_CS32 if code32 else 0) | (HFLAG_IOBPT if breakpoints else 0)
        self.limit = limit
        memset(&self.lib, 0, sizeof(Library))
        self.lib.fetch_byte = fetch_byte
        self.lib.code_page_host = code_page_host
        self.lib.raise_exception = raise_exception
        forget_position(&self.filter)
        self.to_op = self.op
        self.op_link[1] = &self.to_op
        (<void **> &self.tcg[TCG_OPS + 8])[0] = self.op_link
        self.filter.tcg = <char *> self.tcg

    def opcode(self, uint32_t address):
        """The byte at address, read as an opcode or a prefix. The first read of all must be one. GuestFaultError."""
        return self.ask(address, OPCODES)

    def operand(self, uint32_t address):
        """The byte at address, read as an immediate operand, a ModRM or the like."""
        return self.ask(address, OPERANDS)

    @property
    def temporaries(self):
        """How many the core's translator has in use."""
        return u32(<char *> self.tcg, TCG_NB_TEMPS)[0]

    @temporaries.setter
    def temporaries(self, uint32_t count):
        u32(<char *> self.tcg, TCG_NB_TEMPS)[0] = count

    @property
    def block_ends(self):
        """Whether the block of code takes no instruction behind this one."""
        return u32(<char *> self.tcg, TCG_NB_OPS)[0] >= TCG_OPS_FULL

    cdef void set_limit(self, uint32_t limit) noexcept:
        """Of CS, as the rest of the engine keeps it."""
        cdef char *env = <char *> self.env
        u32(env, ENV_SEGS + SEGMENT_SIZE + SEGMENT_LIMIT)[0] = limit
        if limit == 0xFFFFFFFF:
            u32(env, ENV_HFLAGS)[0] &= ~<uint32_t> (HFLAG_SEGMENTS | HFLAG_CODE)
        else:
            u32(env, ENV_HFLAGS)[0] |= HFLAG_SEGMENTS | HFLAG_CODE

    cdef object ask(self, uint32_t address, uintptr_t caller):
        global reading
        cdef int byte
        self.caller = caller
        reading = <void *> self
        enter_guest(self.env, NULL, NULL)
        self.set_limit(self.limit)
        byte = hp_guarded(read_it, <void *> self, address)
        leave_guest()
        reading = NULL
        if byte == HP_FAULTED:
            raise GuestFaultError(self.fault_vector, self.fault_address)
        return byte

    cdef uint32_t read(self, uint32_t address) noexcept nogil:
        return filtered_byte(&self.filter, &self.lib, self.env, address, self.caller)

    cdef uint32_t fetch(self, uint64_t address) noexcept nogil:
        if address < ROOM and self.absent_pages >> (address // PAGE) & 1:
            self.fault(VECTOR_PF, <uint32_t> address)
        self.fetched += 1
        return self.code[address] if address < ROOM else 0

    cdef void *host_of(self, uint64_t address) noexcept nogil:
        return &self.code[address] if address < ROOM and not self.device_pages >> (address // PAGE) & 1 else NULL

    cdef void fault(self, int vector, uint32_t address) noexcept nogil:
        self.fault_vector, self.fault_address = vector, address
        hp_leave()
