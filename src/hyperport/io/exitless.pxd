# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

from hyperport.bus.attributes cimport AttributeObserver, PortAttributes
from hyperport.bus.port_bus cimport PortBus
from hyperport.cpu.vcpu cimport Place, Vcpu
from hyperport.io.crossing cimport CrossingHook
from hyperport.io.path cimport PortPath
from hyperport.lines.service cimport Service
from hyperport.memory.ram cimport GuestMemory
from hyperport.time.clock cimport Clock, Timer

cdef enum:
    CELLS = 2048            # as in abi/numbers.py, which test_exitless.py compares
    ENTRIES = 255
    REGISTERS = 248
    SITES = 340
    SEQUENCES = 16          # of the ROM
    CALLS = 12

cdef struct Entry:          # of the ring
    uint32_t head           # see EntryHead in abi/numbers.py
    uint32_t value

cdef struct Posted:         # a write that an entry asks for
    uint32_t port
    uint32_t size
    const uint32_t *value   # where it stands
    uint32_t same           # bits of the head that go on as long as entries go the same way
    uint32_t caller         # EIP behind it

cdef struct Register:       # a shadow register
    uint32_t value
    uint32_t reads

cdef struct Owner:          # whose a shadow register is; size 0: nobody's
    uint16_t port
    uint8_t size
    uint32_t told           # of its reads

cdef struct Site:           # a sequence: of the guest's, in linear addresses; of an image of ours, in physical ones
    uint32_t first
    uint32_t restart
    uint16_t length
    uint16_t port

cdef class ExitlessPath(PortPath):
    pass

cdef class Caller(Vcpu):
    cdef Place known

cdef class TableKeeper(AttributeObserver):
    cdef void *exitless

cdef class DrainHook(CrossingHook):
    cdef void *exitless


@cython.final
cdef class Exitless(Service):
    cdef PortBus bus
    cdef GuestMemory memory
    cdef Clock clock
    cdef Timer timer
    cdef TableKeeper keeper
    cdef DrainHook hook
    cdef Caller caller
    cdef uint32_t layout            # its version
    cdef char *at                   # host address of EXITLESS_BASE
    cdef uint16_t first_cell[256]   # by port >> 8: 0 for the undeclared
    cdef uint32_t cells_used
    cdef uint16_t register_of[3 * CELLS]    # as the guest's table, also of those that are not shadowed now; 0: none yet
    cdef Owner owners[REGISTERS]
    cdef uint32_t registers_used
    cdef uint8_t answering[CELLS]           # by cell: an answer is shown there
    cdef uint32_t calls[CALLS]              # physical addresses of the ROM's calls with a crossing
    cdef Site sequences[SEQUENCES]
    cdef uint32_t sequence_count
    cdef bint watched               # by an I/O breakpoint: the tables say that nothing is declared
    cdef bint draining              # posted writes are being carried out; the tables stay as they are until that is done
    cdef bint late                  # meanwhile something has been declared anew
    cdef uint32_t written           # what LEFT was set to last
    cdef uint32_t found             # entries since the timer was armed
    cdef readonly uint64_t posted   # entries that were taken out of the ring
    cdef readonly uint64_t drained  # how often there were some
    cdef readonly uint64_t refused  # entries that no guest code of ours makes
    cdef readonly uint64_t restarted    # sequences in which something came between

    cdef uint32_t cell_of(self, uint32_t port) noexcept nogil
    cdef void changed(self, uint32_t port, uint32_t attributes) noexcept nogil
    cdef void shown(self, uint32_t port, uint32_t attributes) noexcept nogil
    cdef void catch_up(self) noexcept nogil
    cdef void watch(self, bint watched) noexcept nogil
    cdef void count_read(self, uint32_t port, uint32_t size, uint32_t reads) noexcept nogil
    cdef void answer(self, uint32_t port, uint32_t value, bint shown) noexcept nogil
    cdef uint32_t site_count(self) noexcept nogil
    cdef void crossed(self, Vcpu vcpu, uint32_t why) noexcept nogil
    cdef void drain(self) noexcept nogil
    cdef void carry_alone(self, const Posted *write) noexcept nogil
    cdef bint was_postable(self, uint32_t port, uint32_t size) noexcept nogil
    cdef void consider_opening(self, Vcpu vcpu, uint32_t port) noexcept nogil
    cdef void leave_sequence(self, Vcpu vcpu) noexcept nogil
    cdef const Site *site_at(self, const Site *sites, uint32_t count, uint32_t address, Site *found) noexcept nogil
    cdef void count_reads(self) noexcept nogil
