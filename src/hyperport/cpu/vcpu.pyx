# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A vCPU as the paths and ABIs see it while it stands at an instruction: registers, its memory, its faults.

Each engine's vCPU is one. Methods marked "may fault" do not return where the guest gets an exception: they leave
towards the guest's handler with the registers as they are at that moment. So a caller keeps them architectural: what
is done is done, what is not done can be restarted.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t


cdef class Vcpu:
    """Base of vCPUs; this one has no registers and no memory."""

    def __cinit__(self):
        self.hooked = []

    cdef void place(self, uintptr_t token, Place *place) noexcept nogil:
        """Where the guest made the access with this token. Only while that access is at hand. Does not fault."""
        place.cs = 0
        place.eip = self.instruction_pointer()
        place.cpl = self.privilege()
        place.exact = True

    cdef uint32_t get(self, int register) noexcept nogil:
        """A general register."""
        return 0

    cdef void put(self, int register, uint32_t value) noexcept nogil:
        """Set a general register."""
        pass

    cdef uint32_t instruction_pointer(self) noexcept nogil:
        """EIP of the instruction at hand."""
        return 0

    cdef bint locate(self, uint32_t *linear, uint64_t *physical) noexcept nogil:
        """Where the instruction at hand stands, between two instructions: physical is all ones where its page is not there.
        False where the engine cannot tell. After it, get() and privilege() are good. Does not fault."""
        return False

    cdef void jump(self, uint32_t distance) noexcept nogil:
        """After locate(): the guest goes on so many bytes from there (modulo 2^32). Nothing is complete by that."""
        pass

    cdef uint32_t flags(self) noexcept nogil:
        """EFLAGS; the arithmetic flags may be missing."""
        return 2

    cdef uint32_t privilege(self) noexcept nogil:
        """CPL."""
        return 0

    cdef bint code_is_32_bit(self) noexcept nogil:
        """CS.D: the default operand and address size."""
        return True

    cdef uint32_t segment_base(self, int segment) noexcept nogil:
        """Base of ES, CS, SS, DS, FS, GS (0 to 5)."""
        return 0

    cdef const uint8_t *code_at(self, uint32_t linear) noexcept nogil:
        """Host address of the code byte at linear, good to the end of its page; NULL outside RAM. May fault."""
        return NULL

    cdef uint8_t *probe(self, uint32_t linear, uint32_t length, bint store) noexcept nogil:
        """Host address of length bytes within one page, checked for a load or store; NULL outside RAM. May fault."""
        return NULL

    cdef uint32_t load(self, uint32_t linear, uint32_t size) noexcept nogil:
        """Read 1, 2 or 4 bytes, wherever they are. May fault."""
        return 0xFFFFFFFF

    cdef bint peek(self, uint32_t linear, uint32_t *value) noexcept nogil:
        """Read 4 bytes within one page of RAM, as nobody notices. False where there are none. Does not fault."""
        return False

    cdef void store(self, uint32_t linear, uint32_t size, uint32_t value) noexcept nogil:
        """Write 1, 2 or 4 bytes, wherever they are. May fault."""
        pass

    cdef bint port_allowed(self, uint32_t port, uint32_t size) noexcept nogil:
        """Whether the guest may access these ports now (CPL, IOPL, the TSS's I/O map); if not, #GP(0). May fault."""
        return True

    cdef bint watches_ports(self) noexcept nogil:
        """Whether an I/O breakpoint is enabled (DR7, CR4.DE). A change of that is followed by a DELIVERY crossing at once."""
        return False

    cdef bint segment_checked(self, int segment) noexcept nogil:
        """Whether segment_fault() is to be asked about each access in this segment; never, where it is flat."""
        return False

    cdef int segment_fault(self, int segment, uint32_t offset, uint32_t size, bint store) noexcept nogil:
        """The vector that limit or rights of a segment raise for size bytes at offset; 0 for none. Does not fault."""
        return 0

    cdef bint steps(self) noexcept nogil:
        """Whether something may happen after each element of a string, so that it is not done whole."""
        return (self.flags() & EFLAGS_TF) != 0

    cdef void moved(self, uint32_t elements) noexcept nogil:
        """So many elements of a repeated string were moved: for who counts instructions."""
        pass

    cdef void retire(self, uint32_t length) noexcept nogil:
        """An instruction of length bytes is complete, or (0) one element of a string: EIP moves, RF and the STI shadow
        end, a single-step trap falls due. May fault."""
        pass

    cdef void fault(self, int vector, int error_code) noexcept nogil:
        """Raise an exception at the instruction at hand. Does not return."""
        pass
