/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs a vCPU needs of the host beside ioctl(): a signal that makes KVM_RUN return, and a timer that sends it.
 *
 * A kick must work at any moment. KVM_RUN returns at once when it finds immediate_exit set, and it returns EINTR when
 * a signal comes while guest code runs; so who kicks sets the one and then sends the other, and no moment lies between.
 * The handler sets immediate_exit too: a signal of the timer may come just before KVM_RUN is entered. The signal is
 * sent only while `entered` is set; one that comes late finds a handler with SA_RESTART and does nothing.
 *
 * What is static here exists once for each module that includes this. Only engine.pyx uses it.
 */
#ifndef HYPERPORT_KVM_VCPU_THREAD_H
#define HYPERPORT_KVM_VCPU_THREAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include "way_out.h"
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct hp_vcpu {
    struct kvm_run *run;
    int fd;
    int entered;        /* the thread below is in KVM_RUN, or about to be */
    pid_t thread;
};

static int hp_kick_signal;
static __thread struct hp_vcpu *hp_vcpu_here __attribute__((tls_model("initial-exec")));

static inline void hp_on_kick(int signal_number)
{
    (void)signal_number;
    if (hp_vcpu_here)
        hp_vcpu_here->run->immediate_exit = 1;
}

/* Take the first real-time signal that nobody handles. Returns 0 where there is none. */
static inline int hp_take_kick_signal(void)
{
    struct sigaction mine = {.sa_handler = hp_on_kick, .sa_flags = SA_RESTART}, present;
    int number;
    if (hp_kick_signal && !sigaction(hp_kick_signal, NULL, &present) && present.sa_handler == hp_on_kick)
        return 1;
    for (number = SIGRTMIN; number <= SIGRTMAX; number++) {
        if (sigaction(number, NULL, &present) || present.sa_handler != SIG_DFL)
            continue;
        hp_kick_signal = number;
        return !sigaction(number, &mine, NULL);
    }
    return 0;
}

/* From here on this thread is the vCPU's; NULL ends that. */
static inline void hp_be_vcpu(struct hp_vcpu *vcpu)
{
    sigset_t kicks;
    hp_vcpu_here = vcpu;
    if (!vcpu)
        return;
    vcpu->thread = (pid_t)syscall(SYS_gettid);
    sigemptyset(&kicks);
    sigaddset(&kicks, hp_kick_signal);
    pthread_sigmask(SIG_UNBLOCK, &kicks, NULL);
}

static inline struct hp_vcpu *hp_vcpu_of_this_thread(void) { return hp_vcpu_here; }

/* The vCPU's own thread need not be kicked: it looks up before it enters the guest. */
static inline void hp_kick(struct hp_vcpu *vcpu)
{
    if (hp_vcpu_here == vcpu)
        return;
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&vcpu->entered, __ATOMIC_SEQ_CST))
        syscall(SYS_tgkill, getpid(), vcpu->thread, hp_kick_signal);
}

/* KVM_RUN: 0, or an errno. */
static inline int hp_enter(struct hp_vcpu *vcpu)
{
    int result;
    __atomic_store_n(&vcpu->entered, 1, __ATOMIC_SEQ_CST);
    result = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
    __atomic_store_n(&vcpu->entered, 0, __ATOMIC_RELEASE);
    return result;
}

static inline void hp_clear_immediate_exit(struct kvm_run *run)
{
    __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

static inline int hp_ioctl(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument) < 0 ? errno : 0;
}

/* A timer of this thread that kicks it; period 0: once. */
static inline int hp_make_timer(timer_t *timer)
{
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = hp_kick_signal;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    return timer_create(CLOCK_MONOTONIC, &event, timer);
}

static inline void hp_arm_timer(timer_t timer, long first_ns, long period_ns)
{
    struct itimerspec when = {.it_value = {0, first_ns}, .it_interval = {0, period_ns}};
    timer_settime(timer, 0, &when, NULL);
}

/* A general register by its number in encodings (EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI); struct kvm_regs has another order. */
static inline uint64_t *hp_general(struct kvm_regs *regs, unsigned number)
{
    static const uint8_t place[8] = {0, 2, 3, 1, 6, 7, 4, 5};
    return (uint64_t *)regs + place[number & 7];
}

/* KVM_COALESCED_MMIO_MAX needs the kernel's own PAGE_SIZE. */
#define HP_RING_SLOTS ((uint32_t)((4096 - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio)))

/* The ring of coalesced writes has one writer, the kernel, and one reader, the vCPU's thread. */
static inline uint32_t hp_ring_last(const struct kvm_coalesced_mmio_ring *ring)
{
    return __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE);
}

static inline void hp_ring_taken(struct kvm_coalesced_mmio_ring *ring, uint32_t first)
{
    __atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
}

#endif
