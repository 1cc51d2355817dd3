/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ROM's port calls that need no crossing (guest/include/hyperport/stubs.h), done in one go.
 *
 * Such a call is some twenty loads and stores of guest memory, each of which looks into the TLB, and three blocks of code to be
 * looked up. jumps.h looks up the block that a CALL leads to anyway; where that is one of the ROM's stubs, its work is done here
 * instead, and the block looked up is the one that the stub would have gone on with: behind the call, or at the doorbell.
 *
 * The guest cannot tell. All that the stub stores is stored, what it leaves below ESP included; it cannot be interrupted in the
 * middle, which looks as if nothing had happened meanwhile. Where anything is not as it nearly always is, the stub runs as it
 * stands: hp_rom_call() gives NULL and has changed nothing. That is so
 *
 *     in segments that are not flat, in V86 mode and from CPL 2 and 3, with TF or a breakpoint;
 *     while somebody counts instructions (--clock insns) or code (--guest-cov);
 *     where the TLB does not say that stack and tables are where they belong, and can be stored to. The tables are not asked again
 *     until something is flushed: as with the TLB of a processor, the guest has to tell of changes.
 *
 * Nothing of the guest is believed: what is stored to lies in the tables' page and ring, whatever it has written there.
 */
#ifndef HYPERPORT_FIDELITY_ROM_CALLS_H
#define HYPERPORT_FIDELITY_ROM_CALLS_H

#include "core.h"
#include "coverage.h"
#include "tlb.h"
#include "zeroes.h"

enum {
    ROM_CALLS = 6,
    ROM_CALL_PUSHED = 16,       /* bytes below the return address: EBP, ECX, ESI, and where ENTER is */
    ROM_PAGES = 8,              /* of tables, page and ring */
    RING_BITS = 8,              /* of the number of an entry, and of a sum that says: by the doorbell */
    EAX = 0, ECX = 1, EDX = 2, ESP = 4, EBP = 5, ESI = 6,
    HFLAG_SS32 = 1 << 5, HFLAG_PE = 1 << 7,     /* SS is of 32 bits; protected mode */
    /* A block's flags: which bits matter, and what they are where segments are flat and nobody watches. */
    ROM_FLAGS = HFLAG_CS32 | HFLAG_SS32 | HFLAG_PE | HFLAG_ADDSEG | HFLAG_SEGMENTS | HFLAG_INHIBIT_IRQ | HFLAG_IOBPT
                | EFLAGS_TF | EFLAGS_RF | EFLAGS_VM,
    ROM_FLAGS_PLAIN = HFLAG_CS32 | HFLAG_SS32 | HFLAG_PE,
    HIGHEST_CPL = 1,
};

typedef struct {
    const char *code;           /* of the host */
    uint32_t entered, doorbell; /* what ENTER pushes, and the doorbell; from code on */
    uint32_t size;
    uint32_t input;             /* IN, else OUT */
} hp_rom_stub;

typedef struct { uint32_t value, reads; } hp_rom_register;

/* All pointers are of the host. */
typedef struct {
    hp_rom_stub stubs[ROM_CALLS];
    uint32_t count;
    uint32_t cells, registers;          /* how many there are */
    const char *tables;
    const uint16_t *levels, *directory;
    const uint8_t *posted;              /* [size >> 1][cell] */
    const uint16_t *shadowed;           /* likewise */
    uint32_t *left;
    hp_rom_register *shadow;
    char *ring;                         /* entries of eight bytes: port, size, value */
    uint32_t *callers;
    /* The stubs of which hp_rom_ready() has said that they may be done, one bit each; and at which counts of flushes and of marks. */
    uint32_t ready;
    int mmu;
    uint32_t linear;                    /* of the tables */
    uint64_t stamp, marks;
} hp_rom;

static hp_rom *hp_new_rom(void) { return hp_zeroes(sizeof(hp_rom)); }

/* Which of the stubs begins at this place of the host, from 1 on; 0: none, or none that can be done here. */
static int hp_rom_stub_at(const hp_rom *rom, const char *host, uint64_t cs_base, uint32_t flags)
{
    uint32_t i;

    if (!rom || cs_base || (flags & ROM_FLAGS) != ROM_FLAGS_PLAIN || (flags & HFLAG_CPL) > HIGHEST_CPL || hp_counting || hp_coverage)
        return 0;
    for (i = 0; i < rom->count; i++)
        if (rom->stubs[i].code == host)
            return (int)i + 1;
    return 0;
}

/* Does the TLB have this place in the tables, for loads or stores without a mark? */
static int hp_rom_has(void *env, const hp_rom *rom, const void *place, int kind)
{
    uint32_t offset = (uint32_t)((const char *)place - rom->tables);

    return hp_tlb_host(env, rom->mmu, rom->linear + offset, 1, kind) == place;
}

/* May the work of this stub be done, as things are now? Then so it is until something is counted. */
static __attribute__((noinline)) int hp_rom_ready(void *env, hp_rom *rom, int which, uint64_t stamp, uint32_t linear, int mmu)
{
    const hp_rom_stub *stub = &rom->stubs[which];
    uint32_t table = (stub->size >> 1) * rom->cells;

    if (rom->stamp != stamp || rom->marks != hp_marks || rom->linear != linear || rom->mmu != mmu)
        rom->ready = 0;
    rom->stamp = stamp;
    rom->marks = hp_marks;
    rom->linear = linear;
    rom->mmu = mmu;
    if (!hp_rom_has(env, rom, rom->directory, TLB_READ))
        return 0;
    if (stub->input ? !hp_rom_has(env, rom, &rom->shadowed[table], TLB_READ) || !hp_rom_has(env, rom, rom->shadow, TLB_WRITE)
                    : !hp_rom_has(env, rom, &rom->posted[table], TLB_READ) || !hp_rom_has(env, rom, rom->left, TLB_WRITE)
                          || !hp_rom_has(env, rom, rom->ring, TLB_WRITE))
        return 0;
    rom->ready |= 1u << which;
    return 1;
}

/* The cell of the port in DX. */
static inline uint32_t hp_rom_cell(void *env, const hp_rom *rom)
{
    uint32_t port = HP_AT(env, ENV_REGS + 8 * EDX, uint16_t);
    uint32_t level = rom->levels[HP_AT(env, ENV_SEGS + CS * SEGMENT_SIZE, uint8_t)];

    return (rom->directory[(level & ~0xFFu) | port >> 8] & ~0xFFu) | (port & 0xFF);
}

/* 1: posted. 0: it must cross. -1: let the stub run. */
static inline int hp_rom_post(void *env, hp_rom *rom, uint32_t size, uint32_t cell, uint32_t caller)
{
    uint32_t sum = rom->posted[(size >> 1) * rom->cells + cell] + *rom->left, number;
    char *entry;

    if (sum >> RING_BITS != 1)
        return sum >> RING_BITS ? -1 : 0;
    number = sum & ((1u << RING_BITS) - 1);
    entry = rom->ring + 8 * number;
    HP_AT(entry, 0, uint64_t) = (HP_AT(env, ENV_REGS + 8 * EDX, uint32_t) & 0xFF00FFFF) | size << 16
                                | HP_AT(env, ENV_REGS + 8 * EAX, uint64_t) << 32;
    rom->callers[number] = caller;
    *rom->left = number;
    return 1;
}

/* Likewise. */
static inline int hp_rom_read(void *env, hp_rom *rom, uint32_t size, uint32_t cell)
{
    uint32_t number = rom->shadowed[(size >> 1) * rom->cells + cell], value;
    char *answer = (char *)env + ENV_REGS + 8 * EAX;

    if (!number)
        return 0;
    if (number >= rom->registers)
        return -1;
    value = rom->shadow[number].value;
    rom->shadow[number].reads++;
    if (size == 1)
        HP_AT(answer, 0, uint8_t) = (uint8_t)value;
    else if (size == 2)
        HP_AT(answer, 0, uint16_t) = (uint16_t)value;
    else
        HP_AT(answer, 0, uint64_t) = value;
    return 1;
}

/* The guest has called a stub, at EIP: do it. False where the stub is to run as it stands. Then nothing has changed. */
static inline int hp_rom_call(void *env, hp_rom *rom, int which, uint64_t stamp)
{
    const hp_rom_stub *stub = &rom->stubs[which];
    uint32_t eip = HP_AT(env, ENV_EIP, uint32_t), esp = HP_AT(env, ENV_REGS + 8 * ESP, uint32_t), cell;
    uint32_t linear = eip + (uint32_t)(rom->tables - stub->code);
    int mmu = hp_mmu(env), done;
    uint32_t *stack = hp_tlb_host(env, mmu, (uint32_t)(esp - ROM_CALL_PUSHED), ROM_CALL_PUSHED + 4, TLB_WRITE);

    if (HP_RARELY(!stack || (uintptr_t)stack - (uintptr_t)rom->tables < ROM_PAGES * 0x1000))
        return 0;
    if (HP_RARELY(rom->stamp != stamp || rom->marks != hp_marks || rom->linear != linear || rom->mmu != mmu
                  || !(rom->ready >> which & 1))
        && !hp_rom_ready(env, rom, which, stamp, linear, mmu))
        return 0;
    cell = hp_rom_cell(env, rom);
    if (HP_RARELY(cell >= rom->cells))
        return 0;
    done = stub->input ? hp_rom_read(env, rom, stub->size, cell) : hp_rom_post(env, rom, stub->size, cell, stack[4]);
    if (HP_RARELY(done < 0))
        return 0;
    stack[0] = eip + stub->entered;
    stack[1] = HP_AT(env, ENV_REGS + 8 * ESI, uint32_t);
    stack[2] = HP_AT(env, ENV_REGS + 8 * ECX, uint32_t);
    stack[3] = HP_AT(env, ENV_REGS + 8 * EBP, uint32_t);
    if (done) {
        HP_AT(env, ENV_EIP, uint64_t) = stack[4];
        HP_AT(env, ENV_REGS + 8 * ESP, uint64_t) = (uint32_t)(esp + 4);
    } else
        HP_AT(env, ENV_EIP, uint64_t) = (uint32_t)(eip + stub->doorbell);
    return 1;
}

#endif
