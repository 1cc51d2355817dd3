# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# vcpu_thread.h and, through it, the structures of <linux/kvm.h> as far as the engine uses them.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from posix.types cimport pid_t

cdef extern from "vcpu_thread.h" nogil:
    cdef struct kvm_regs:
        uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, rip, rflags

    cdef struct kvm_segment:
        uint64_t base
        uint32_t limit
        uint16_t selector
        uint8_t type, present, dpl, db, s, l, g, avl, unusable

    cdef struct kvm_dtable:
        uint64_t base
        uint16_t limit

    cdef struct kvm_sregs:
        kvm_segment cs, ds, es, fs, gs, ss, tr, ldt
        kvm_dtable gdt, idt
        uint64_t cr0, cr2, cr3, cr4, cr8, efer
        uint64_t interrupt_bitmap[4]

    cdef struct kvm_xsave:
        uint32_t region[1024]

    cdef struct hp_exception_events "":
        uint8_t injected, nr, has_error_code, pending
        uint32_t error_code

    cdef struct hp_interrupt_events "":
        uint8_t injected, nr, soft, shadow

    cdef struct kvm_vcpu_events:
        hp_exception_events exception
        hp_interrupt_events interrupt
        uint32_t flags

    cdef struct kvm_debugregs:
        uint64_t db[4]
        uint64_t dr6, dr7, flags

    cdef struct kvm_sync_regs:
        kvm_regs regs
        kvm_sregs sregs

    cdef struct hp_synced "":
        kvm_sync_regs regs

    cdef struct hp_io_exit "":
        uint8_t direction, size
        uint16_t port
        uint32_t count
        uint64_t data_offset

    cdef struct hp_mmio_exit "":
        uint64_t phys_addr
        uint8_t data[8]
        uint32_t len
        uint8_t is_write

    cdef struct kvm_userspace_memory_region:
        uint32_t slot, flags
        uint64_t guest_phys_addr, memory_size, userspace_addr

    cdef struct hp_internal_exit "":
        uint32_t suberror, ndata
        uint64_t data[16]

    cdef struct hp_entry_exit "":
        uint64_t hardware_entry_failure_reason

    cdef struct kvm_run:
        uint8_t request_interrupt_window, immediate_exit
        uint32_t exit_reason
        uint8_t ready_for_interrupt_injection, if_flag
        uint64_t kvm_valid_regs, kvm_dirty_regs
        hp_io_exit io
        hp_mmio_exit mmio
        hp_internal_exit internal
        hp_entry_exit fail_entry
        hp_synced s

    cdef struct kvm_coalesced_mmio:
        uint64_t phys_addr
        uint32_t len
        uint8_t data[8]

    cdef struct kvm_coalesced_mmio_ring:
        uint32_t first, last
        kvm_coalesced_mmio *coalesced_mmio

    cdef struct hp_vcpu:
        kvm_run *run
        int fd
        int entered
        pid_t thread

    ctypedef void *timer_t

    unsigned long KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS, KVM_GET_XSAVE, KVM_SET_XSAVE
    unsigned long KVM_SET_USER_MEMORY_REGION
    uint32_t KVM_MEM_READONLY
    unsigned long KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_GET_MSRS, KVM_SET_MSRS, KVM_INTERRUPT
    unsigned long KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS
    unsigned long KVM_IRQ_LINE, KVM_GET_MP_STATE, KVM_SET_MP_STATE
    uint32_t KVM_EXIT_IO, KVM_EXIT_HLT, KVM_EXIT_MMIO, KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_SHUTDOWN, KVM_EXIT_INTR
    uint32_t KVM_EXIT_FAIL_ENTRY, KVM_EXIT_INTERNAL_ERROR
    uint32_t KVM_EXIT_IO_IN
    uint64_t KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS
    uint32_t KVM_VCPUEVENT_VALID_SHADOW
    uint32_t KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_HALTED
    uint32_t HP_RING_SLOTS

    uint64_t *hp_general(kvm_regs *regs, unsigned number)
    int hp_take_kick_signal()
    void hp_be_vcpu(hp_vcpu *vcpu)
    hp_vcpu *hp_vcpu_of_this_thread()
    void hp_kick(hp_vcpu *vcpu)
    int hp_enter(hp_vcpu *vcpu)
    void hp_clear_immediate_exit(kvm_run *run)
    int hp_ioctl(int fd, unsigned long request, void *argument)
    int hp_make_timer(timer_t *timer)
    void hp_arm_timer(timer_t timer, long first_ns, long period_ns)
    int timer_delete(timer_t timer)
    int hp_guarded(int (*call)(void *context, uint32_t number) noexcept nogil, void *context, uint32_t number)
    void hp_leave()
    uint32_t hp_ring_last(const kvm_coalesced_mmio_ring *ring)
    void hp_ring_taken(kvm_coalesced_mmio_ring *ring, uint32_t first)
