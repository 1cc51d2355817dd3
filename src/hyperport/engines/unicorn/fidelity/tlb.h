/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's TLB, where the core itself goes the long way.
 *
 * Accesses.  What helpers load and store for the guest (frames of interrupts, descriptors, stacks) passes the core's whole
 *     slow path, hooks and regions included. A page whose TLB entry has no mark is RAM to be read or written as it is, as
 *     translated code does it.
 * Probes.  INS must find a page fault before it reads its port. The core stores a 0 for that, which a device would see.
 * Page walks.  Entries of page tables lie in RAM nearly always.
 * Marks.  Stores to a page with translated code must be slow. The core looks at all entries of all modes for each block
 *     that it translates; a page can be in one entry of each mode, or among the victims. It also forgets, at the first
 *     store, that a page mapped as not executable needs the mark; hp_mark_code_page() prevents it.
 *
 * An entry is for one linear page. Each kind of access has the page's address in it, with marks in the low bits, or -1.
 */
#ifndef HYPERPORT_FIDELITY_TLB_H
#define HYPERPORT_FIDELITY_TLB_H

#include "core.h"
#include "counting.h"
#include "system.h"

/* Does a guest of ours run on this thread? Others in the process have hooks and other modes. */
static inline int hp_ours(void) { return hp_memory != NULL; }

#define HP_PAGE(address) ((uint64_t)(address) & ~(uint64_t)0xFFF)

static inline char *hp_tlb_entry(char *cpu, int mmu, uint64_t address)
{
    char *fast = cpu + X86CPU_TLB_FAST + mmu * TLB_FAST_SIZE;

    return HP_AT(fast, 8, char *) + ((address >> 12 << TLB_ENTRY_SHIFT) & HP_AT(fast, 0, uint64_t));
}

/* Where these bytes are if the TLB has their page without a mark for this kind of access, else NULL. */
static inline void *hp_tlb_host(void *env, int mmu, uint64_t address, uint32_t size, int kind)
{
    char *entry = hp_tlb_entry(hp_cpu(env), mmu, address);

    if (HP_AT(entry, kind, uint64_t) != HP_PAGE(address) || (address & 0xFFF) + size > 0x1000)
        return NULL;
    return (void *)(address + HP_AT(entry, TLB_ADDEND, uint64_t));
}

#define HP_LOAD(name, type, result) \
    static result (*plain_##name##_mmu)(void *env, uint64_t address, int mmu, uintptr_t caller); \
    static result hp_##name##_mmu(void *env, uint64_t address, int mmu, uintptr_t caller) \
    { \
        type value, *host = hp_ours() ? hp_tlb_host(env, mmu, address, sizeof value, TLB_READ) : NULL; \
        if (!host) \
            return plain_##name##_mmu(env, address, mmu, caller); \
        memcpy(&value, host, sizeof value); \
        return (result)value; \
    }
#define HP_STORE(name, type, argument) \
    static void (*plain_##name##_mmu)(void *env, uint64_t address, argument value, int mmu, uintptr_t caller); \
    static void hp_##name##_mmu(void *env, uint64_t address, argument value, int mmu, uintptr_t caller) \
    { \
        type stored = (type)value, *host = hp_ours() ? hp_tlb_host(env, mmu, address, sizeof stored, TLB_WRITE) : NULL; \
        if (!host) \
            plain_##name##_mmu(env, address, value, mmu, caller); \
        else \
            memcpy(host, &stored, sizeof stored); \
    }

HP_LOAD(ldub, uint8_t, uint32_t)
HP_LOAD(lduw, uint16_t, uint32_t)
HP_LOAD(ldl, uint32_t, uint32_t)
HP_LOAD(ldq, uint64_t, uint64_t)
HP_STORE(stb, uint8_t, uint32_t)
HP_STORE(stw, uint16_t, uint32_t)
HP_STORE(stl, uint32_t, uint32_t)
HP_STORE(stq, uint64_t, uint64_t)

/* The same in the mode that the CPU is in. */
#define HP_LOAD_DATA(name, result) \
    static result (*plain_##name##_data)(void *env, uint64_t address, uintptr_t caller); \
    static result hp_##name##_data(void *env, uint64_t address, uintptr_t caller) \
    { \
        return hp_ours() ? hp_##name##_mmu(env, address, hp_mmu(env), caller) : plain_##name##_data(env, address, caller); \
    }
#define HP_STORE_DATA(name, argument) \
    static void (*plain_##name##_data)(void *env, uint64_t address, argument value, uintptr_t caller); \
    static void hp_##name##_data(void *env, uint64_t address, argument value, uintptr_t caller) \
    { \
        if (hp_ours()) \
            hp_##name##_mmu(env, address, value, hp_mmu(env), caller); \
        else \
            plain_##name##_data(env, address, value, caller); \
    }

HP_LOAD_DATA(ldub, uint32_t)
HP_LOAD_DATA(lduw, uint32_t)
HP_LOAD_DATA(ldl, uint32_t)
HP_LOAD_DATA(ldq, uint64_t)
HP_STORE_DATA(stb, uint32_t)
HP_STORE_DATA(stw, uint32_t)
HP_STORE_DATA(stl, uint32_t)
HP_STORE_DATA(stq, uint64_t)

/* May these bytes be stored? A fault leaves from here; so does what a store of device memory would leave the block for. */
static inline void hp_probe_store(void *env, uint64_t linear, uint32_t size, uintptr_t caller)
{
    uint32_t first = 0x1000 - (linear & 0xFFF);
    int mmu = hp_mmu(env);
    void *host;

    if (size < first)
        first = size;
    host = hp_core.probe_access(env, linear, (int)first, STORE, mmu, caller);
    if (first < size && !hp_core.probe_access(env, (uint32_t)(linear + first), (int)(size - first), STORE, mmu, caller))
        host = NULL;
    if (!host)
        hp_alone_in_block(caller);
}

static void hp_probe_store1(void *env, uint64_t linear) { hp_probe_store(env, linear, 1, HP_CALLER); }
static void hp_probe_store2(void *env, uint64_t linear) { hp_probe_store(env, linear, 2, HP_CALLER); }
static void hp_probe_store4(void *env, uint64_t linear) { hp_probe_store(env, linear, 4, HP_CALLER); }

static uint32_t (*plain_ldl_phys)(void *cpu, uint64_t address);
static uint64_t (*plain_ldq_phys)(void *cpu, uint64_t address);

/* By guest-physical address, as the map of regions is now; where no memory is, all ones. */
#define HP_LOAD_TABLE(name, type) \
    static type hp_##name##_phys(void *cpu, uint64_t address) \
    { \
        const uint8_t *host; \
        type value = (type)-1; \
        if (!hp_ours()) \
            return plain_##name##_phys(cpu, address); \
        host = hp_host_at(hp_memory, address, sizeof value, 0); \
        if (host) \
            memcpy(&value, host, sizeof value); \
        return value; \
    }

HP_LOAD_TABLE(ldl, uint32_t)
HP_LOAD_TABLE(ldq, uint64_t)

/* How often marks were set. */
static __thread uint64_t hp_marks __attribute__((tls_model("initial-exec")));

/* Let stores by this entry be slow if it is for this page of the host and now is for stores that are fast, or soon are. */
static inline void hp_mark_entry(char *entry, uintptr_t host)
{
    uint64_t write = HP_AT(entry, TLB_WRITE, uint64_t);

    if (write & (TLB_INVALID | TLB_MMIO | TLB_DISCARD_WRITE) || HP_PAGE(write) + HP_AT(entry, TLB_ADDEND, uint64_t) != host)
        return;
    HP_AT(entry, TLB_WRITE, uint64_t) = write | TLB_NOT_DIRTY;
    if (HP_AT(entry, TLB_CODE, uint64_t) == (uint64_t)-1)       /* the core drops the mark of what is not executable */
        HP_AT(entry, TLB_CODE, uint64_t) = HP_PAGE(write) | TLB_INVALID;
}

static inline char *hp_victim(char *cpu, int mmu, int n)
{
    return cpu + X86CPU_TLB_SLOW + mmu * TLB_SLOW_SIZE + TLB_VICTIMS + n * TLB_ENTRY_SIZE;
}

/* Translated code was made from a page that had none: all stores to it become slow, by whatever address. */
static void hp_mark_code_page(void *cpu, void *page)
{
    char *fast = (char *)cpu + X86CPU_TLB_FAST, *entry, *end;
    int mmu, i;

    hp_marks++;
    for (mmu = 0; mmu < TLB_MODES; mmu++, fast += TLB_FAST_SIZE) {
        entry = HP_AT(fast, 8, char *);
        end = entry + HP_AT(fast, 0, uint64_t) + TLB_ENTRY_SIZE;
        for (; entry < end; entry += TLB_ENTRY_SIZE)
            hp_mark_entry(entry, (uintptr_t)page);
        for (i = 0; i < TLB_VICTIM_COUNT; i++)
            hp_mark_entry(hp_victim(cpu, mmu, i), (uintptr_t)page);
    }
}

static void (*plain_reset_dirty_by_vaddr)(void *cpu, uint64_t start, uint64_t length);

static inline void hp_reset_dirty_entry(char *entry, uint64_t page)
{
    uint64_t write = HP_AT(entry, TLB_WRITE, uint64_t);

    if (HP_PAGE(write) == page && !(write & (TLB_INVALID | TLB_MMIO | TLB_DISCARD_WRITE)))
        HP_AT(entry, TLB_WRITE, uint64_t) = write | TLB_NOT_DIRTY;
}

/* A block was translated from there: from a page or two. */
static void hp_reset_dirty_by_vaddr(void *cpu, uint64_t start, uint64_t length)
{
    uint64_t page;
    int mmu, i;

    if (!hp_ours()) {
        plain_reset_dirty_by_vaddr(cpu, start, length);
        return;
    }
    hp_marks++;
    for (page = HP_PAGE(start); page - HP_PAGE(start) < start - HP_PAGE(start) + length; page += 0x1000)
        for (mmu = 0; mmu < TLB_MODES; mmu++) {
            hp_reset_dirty_entry(hp_tlb_entry(cpu, mmu, page), page);
            for (i = 0; i < TLB_VICTIM_COUNT; i++)
                hp_reset_dirty_entry(hp_victim(cpu, mmu, i), page);
        }
}

/* Is a fresh CPU's TLB where we look, and empty? */
static int hp_tlb_fits(void *cpu)
{
    static const char empty[TLB_VICTIM_COUNT * TLB_ENTRY_SIZE] = {0};
    char *fast = (char *)cpu + X86CPU_TLB_FAST;
    int mmu, i;

    for (mmu = 0; mmu < TLB_MODES; mmu++, fast += TLB_FAST_SIZE) {
        uint64_t mask = HP_AT(fast, 0, uint64_t), *words = (uint64_t *)hp_victim(cpu, mmu, 0);
        if (!mask || (mask + TLB_ENTRY_SIZE) & mask || !HP_AT(fast, 8, void *))
            return 0;
        for (i = 0; i < (int)(sizeof empty / sizeof *words); i++)
            if (words[i] != (uint64_t)-1)
                return 0;
    }
    return 1;
}

#endif
