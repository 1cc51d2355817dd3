/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the vCPU's thread and those that kick it need of the compiler and the host: atomics, barriers, thread-locals. */
#ifndef HYPERPORT_VCPU_THREAD_H
#define HYPERPORT_VCPU_THREAD_H

#include <stdint.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
static inline void hp_barrier_everywhere(void) { syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0); }
static inline void hp_register_barrier(void) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0);
}
static inline void hp_set_bits(uint32_t *p, uint32_t v) { __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }
static inline void hp_clear_bits(uint32_t *p, uint32_t v) { __atomic_fetch_and(p, ~v, __ATOMIC_SEQ_CST); }
static inline void hp_store_half(uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
/*
 * The engine that runs on this thread: the core's callbacks carry no user pointer of ours. initial-exec: found by one load,
 * without a call; the C library keeps room for such variables of libraries that are loaded late.
 */
static __thread void *hp_current_engine __attribute__((tls_model("initial-exec")));
static inline void *hp_current(void) { return hp_current_engine; }
static inline void hp_set_current(void *engine) { hp_current_engine = engine; }

#endif
