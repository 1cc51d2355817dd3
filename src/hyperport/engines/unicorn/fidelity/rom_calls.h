/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The port calls of a ROM, for one element, done as one thing. Stage 1 of such a call; next: ports.pyx, ring_alone().
 *
 * jumps.h looks up the block that a CALL leads to anyway, and finds its code. For these calls it finds a function here instead, which
 * does what the call does and looks up the block behind it. There are two kinds:
 *
 * Bells.  `out %al, $number` and RET. Two blocks of code are looked up, and the place of the OUT, for what is one function.
 * Stubs   (guest/include/hyperport/stubs.h) post, or read a shadow register, or go on with the bell. That is some twenty loads and
 *     stores of guest memory, of which each looks into the TLB, and two further blocks.
 *
 * The guest cannot tell. All that a stub stores is stored, what it leaves below ESP included; it cannot be interrupted in the
 * middle, which looks as if nothing had happened meanwhile. Where anything is not as it nearly always is, the code runs as it
 * stands: nothing has changed then. That is so
 *
 *     in segments that are not flat, in V86 mode and from CPL 2 and 3, with TF or a breakpoint;
 *     while somebody counts instructions (--clock insns) or code (--guest-cov);
 *     where the TLB does not say that stack and tables are where they belong, and can be stored to. The tables are not asked again
 *     until something is flushed: as with the TLB of a processor, the guest has to tell of changes.
 *
 * Nothing of the guest is believed: what is stored to lies in the tables' page and ring, whatever it has written there.
 *
 * The functions run between two blocks, where all registers are written back. What comes behind begins with a block, which looks
 * whether somebody wants the vCPU: so of calls that return into each other, only the first is done here (hp_code_behind()).
 */
#ifndef HYPERPORT_FIDELITY_ROM_CALLS_H
#define HYPERPORT_FIDELITY_ROM_CALLS_H

#include "hyperport/abi.h"

#include "core.h"
#include "coverage.h"
#include "tlb.h"
#include "zeroes.h"

enum {
    ROM_PUSHED = 16,            /* bytes below the return address: EBP, ECX, ESI, and where ENTER is */
    ROM_BELL_BYTES = 2,         /* of the OUT */
    ROM_ENTRY = 8,              /* bytes of an entry of the ring: port, size, value */
    ROM_NUMBER_BITS = 8,        /* of an entry's number. LEFT + POSTED is less than 1 << that where there must be a crossing */
    EAX = 0, ECX = 1, EDX = 2, ESP = 4, EBP = 5, ESI = 6,
    HFLAG_SS32 = 1 << 5, HFLAG_PE = 1 << 7,     /* SS is of 32 bits; protected mode */
    /* A block's flags: which bits matter, and what they are where segments are flat and nobody watches. */
    ROM_FLAGS = HFLAG_CS32 | HFLAG_SS32 | HFLAG_PE | HFLAG_ADDSEG | HFLAG_SEGMENTS | HFLAG_INHIBIT_IRQ | HFLAG_IOBPT
                | EFLAGS_TF | EFLAGS_RF | EFLAGS_VM,
    ROM_FLAGS_PLAIN = HFLAG_CS32 | HFLAG_SS32 | HFLAG_PE,
    HIGHEST_CPL = 1,
};

/* Number, name, bytes, is it an IN. */
#define ROM_CALLS(CALL) \
    CALL(0, inb, 1, 1) CALL(1, inw, 2, 1) CALL(2, inl, 4, 1) CALL(3, outb, 1, 0) CALL(4, outw, 2, 0) CALL(5, outl, 4, 0)
enum { ROM_CALL_COUNT = 6 };

/* Pointers are of the host. */
typedef struct {
    const char *code;           /* NULL: there is none */
    const void *call;           /* the engine's */
} hp_rom_bell;

typedef struct {
    const char *code;
    uint32_t to_bell;           /* from code on: what is rung where it must cross, */
    uint32_t entered;           /* and what ENTER pushes */
    /* hp_rom_ready() has said that it may be done at this EIP, at these counts of flushes and of marks. */
    uint32_t eip;
    uint64_t stamp, marks;
} hp_rom_stub;

typedef struct { uint32_t value, reads; } hp_rom_register;

typedef struct {
    hp_rom_bell bells[ROM_CALL_COUNT];
    hp_rom_stub stubs[ROM_CALL_COUNT];
    char *tables;
    int (*ring)(void *context, const void *call);       /* 0: nothing was done */
    void *context;
} hp_rom;

#define ROM_AT(rom, place, type) ((type *)((rom)->tables + HYPERPORT_EXITLESS_##place))

static hp_rom *hp_new_rom(void) { return hp_zeroes(sizeof(hp_rom)); }

/* The one of the machine whose guest runs on this thread. */
static inline hp_rom *hp_rom_now(void);

/* Code of the host for what comes behind a call, at EIP. */
static inline void *hp_code_behind(void *env, uint64_t stamp);

/* Code of the host for what is at EIP, which is a call that is not done here. */
static void *hp_plain_code(void *env);

static inline uint64_t hp_stamp(void *env);

/* Bytes of the stack that can be stored to. */
static inline uint32_t *hp_rom_stack(void *env, uint32_t esp, uint32_t bytes)
{
    return hp_tlb_host(env, MMU_KERNEL, esp, bytes, TLB_WRITE);
}

/* EIP is at a bell, whose caller is at ESP: ring, and return there. False, and nothing has happened, where its code is to run. */
static inline int hp_rom_ring(void *env, const hp_rom *rom, int number, const uint32_t *caller, uint64_t *stamp)
{
    uint64_t *eip = &HP_AT(env, ENV_EIP, uint64_t), *esp = &HP_AT(env, ENV_REGS + 8 * ESP, uint64_t), before = *stamp;

    if (HP_RARELY(!rom->ring(rom->context, rom->bells[number].call)))
        return 0;
    *stamp = hp_stamp(env);
    if (HP_RARELY(*stamp != before)) {  /* then nobody knows what is at ESP now: let RET look */
        *eip = (uint32_t)(*eip + ROM_BELL_BYTES);
        return 1;
    }
    *eip = *caller;
    *esp = (uint32_t)(*esp + sizeof *caller);
    return 1;
}

/* Does the TLB have this place in the tables, which begin at linear, for loads or stores without a mark? */
static int hp_rom_has(void *env, const hp_rom *rom, uint32_t linear, uint32_t place, int kind)
{
    return hp_tlb_host(env, MMU_KERNEL, (uint32_t)(linear + place), 1, kind) == rom->tables + place;
}

/* May the work of this stub be done, as things are now? Then so it is until something is counted. */
static __attribute__((noinline)) int hp_rom_ready(void *env, const hp_rom *rom, hp_rom_stub *stub, uint32_t index, int input, uint64_t stamp)
{
    uint32_t eip = HP_AT(env, ENV_EIP, uint32_t), linear = eip + (uint32_t)(rom->tables - stub->code);

    if (!hp_rom_has(env, rom, linear, HYPERPORT_EXITLESS_DIRECTORY, TLB_READ)
        || !hp_rom_has(env, rom, linear, HYPERPORT_EXITLESS_PAGE, TLB_WRITE))
        return 0;
    if (input ? !hp_rom_has(env, rom, linear, HYPERPORT_EXITLESS_SHADOWED + 2 * index, TLB_READ)
              : !hp_rom_has(env, rom, linear, HYPERPORT_EXITLESS_POSTED + index, TLB_READ)
                    || !hp_rom_has(env, rom, linear, HYPERPORT_EXITLESS_RING, TLB_WRITE))
        return 0;
    stub->eip = eip;
    stub->stamp = stamp;
    stub->marks = hp_marks;
    return 1;
}

/* The cell of the port in DX. */
static inline uint32_t hp_rom_cell(void *env, const hp_rom *rom)
{
    uint32_t port = HP_AT(env, ENV_REGS + 8 * EDX, uint16_t);
    uint32_t level = ROM_AT(rom, LEVELS, uint16_t)[HP_AT(env, ENV_SEGS + CS * SEGMENT_SIZE, uint8_t)];

    return (ROM_AT(rom, DIRECTORY, uint16_t)[(level & ~0xFFu) | port >> 8] & ~0xFFu) | (port & 0xFF);
}

/* 1: posted. 0: it must cross. -1: let the stub run. index: of the cell, in the table of its size. */
static inline int hp_rom_post(void *env, hp_rom *rom, uint32_t size, uint32_t index, uint32_t caller)
{
    uint32_t *left = ROM_AT(rom, LEFT, uint32_t), sum = ROM_AT(rom, POSTED, uint8_t)[index] + *left, number;

    if (sum >> ROM_NUMBER_BITS != 1)
        return sum >> ROM_NUMBER_BITS ? -1 : 0;
    number = sum & ((1u << ROM_NUMBER_BITS) - 1);
    HP_AT(ROM_AT(rom, RING, char), ROM_ENTRY * number, uint64_t)
        = (HP_AT(env, ENV_REGS + 8 * EDX, uint32_t) & 0xFF00FFFF) | size << 16 | HP_AT(env, ENV_REGS + 8 * EAX, uint64_t) << 32;
    ROM_AT(rom, CALLERS, uint32_t)[number] = caller;
    *left = number;
    return 1;
}

/* Likewise. */
static inline int hp_rom_read(void *env, hp_rom *rom, uint32_t size, uint32_t index)
{
    uint32_t number = ROM_AT(rom, SHADOWED, uint16_t)[index];
    hp_rom_register *shadow = &ROM_AT(rom, REGISTERS, hp_rom_register)[number];
    char *answer = (char *)env + ENV_REGS + 8 * EAX;

    if (!number)
        return 0;
    if (HP_RARELY(number >= HYPERPORT_EXITLESS_REGISTER_COUNT))
        return -1;
    if (size == 1)
        HP_AT(answer, 0, uint8_t) = (uint8_t)shadow->value;
    else if (size == 2)
        HP_AT(answer, 0, uint16_t) = (uint16_t)shadow->value;
    else
        HP_AT(answer, 0, uint64_t) = shadow->value;
    shadow->reads++;
    return 1;
}

/* EIP is at a stub: do what it does, and give the code behind the call. */
static inline __attribute__((always_inline)) void *hp_rom_stub_does(void *env, int number, uint32_t size, int input)
{
    hp_rom *rom = hp_rom_now();
    hp_rom_stub *stub = &rom->stubs[number];
    uint32_t eip = HP_AT(env, ENV_EIP, uint32_t), esp = HP_AT(env, ENV_REGS + 8 * ESP, uint32_t);
    uint32_t table = (size >> 1) * HYPERPORT_EXITLESS_CELLS, cell;
    uint32_t *stack = hp_rom_stack(env, esp - ROM_PUSHED, ROM_PUSHED + sizeof *stack);
    uint64_t stamp = hp_stamp(env);
    int done;

    if (HP_RARELY(!stack || (uintptr_t)stack - (uintptr_t)rom->tables < HYPERPORT_EXITLESS_END))
        return hp_plain_code(env);
    if (HP_RARELY(stub->stamp != stamp || stub->eip != eip || stub->marks != hp_marks)
        && !hp_rom_ready(env, rom, stub, table, input, stamp))
        return hp_plain_code(env);
    cell = hp_rom_cell(env, rom);
    if (HP_RARELY(cell >= HYPERPORT_EXITLESS_CELLS))
        return hp_plain_code(env);
    done = input ? hp_rom_read(env, rom, size, table + cell) : hp_rom_post(env, rom, size, table + cell, stack[4]);
    if (HP_RARELY(done < 0))
        return hp_plain_code(env);
    stack[0] = eip + stub->entered;
    stack[1] = HP_AT(env, ENV_REGS + 8 * ESI, uint32_t);
    stack[2] = HP_AT(env, ENV_REGS + 8 * ECX, uint32_t);
    stack[3] = HP_AT(env, ENV_REGS + 8 * EBP, uint32_t);
    if (done) {
        HP_AT(env, ENV_EIP, uint64_t) = stack[4];
        HP_AT(env, ENV_REGS + 8 * ESP, uint64_t) = (uint32_t)(esp + sizeof *stack);
    } else {
        HP_AT(env, ENV_EIP, uint64_t) = (uint32_t)(eip + stub->to_bell);
        hp_rom_ring(env, rom, number, &stack[4], &stamp);
    }
    return hp_code_behind(env, stamp);
}

static inline __attribute__((always_inline)) void *hp_rom_bell_does(void *env, int number)
{
    const uint32_t *caller = hp_rom_stack(env, HP_AT(env, ENV_REGS + 8 * ESP, uint32_t), sizeof *caller);
    uint64_t stamp = hp_stamp(env);

    if (HP_RARELY(!caller) || HP_RARELY(!hp_rom_ring(env, hp_rom_now(), number, caller, &stamp)))
        return hp_plain_code(env);
    return hp_code_behind(env, stamp);
}

/* Code that the core jumps to as to a block's. It has env in RBP (TCG_AREG0), and a stack as for a call of a helper. */
#define ROM_DOES(number, name, size, input) \
    static __attribute__((used)) void *hp_stub_##name(void *env) { return hp_rom_stub_does(env, number, size, input); } \
    static __attribute__((used)) void *hp_bell_##name(void *env) { return hp_rom_bell_does(env, number); }
#define ROM_ENTER(name) "hp_enter_" name ":\n\tmov %rbp, %rdi\n\tcall hp_" name "\n\tjmp *%rax\n\t.balign 16\n"
#define ROM_ENTER_BOTH(number, name, size, input) ROM_ENTER("stub_" #name) ROM_ENTER("bell_" #name)
#define ROM_DECLARE(number, name, size, input) extern const char hp_enter_stub_##name[], hp_enter_bell_##name[];
#define ROM_HIDE(number, name, size, input) ".local hp_enter_stub_" #name ", hp_enter_bell_" #name "\n"

ROM_CALLS(ROM_DOES)
ROM_CALLS(ROM_DECLARE)
extern const char hp_rom_code[], hp_rom_code_end[];
__asm__(".pushsection .text\n" ROM_CALLS(ROM_HIDE) ".local hp_rom_code, hp_rom_code_end\n\t.balign 16\nhp_rom_code:\n"
        ROM_CALLS(ROM_ENTER_BOTH) "hp_rom_code_end:\n.popsection");

static inline int hp_is_rom_code(const char *code) { return code - hp_rom_code < hp_rom_code_end - hp_rom_code && code >= hp_rom_code; }

/* What to do instead of the block that begins at this place of the host; NULL: nothing. */
static const char *hp_rom_code_for(const hp_rom *rom, const char *host, uint64_t cs_base, uint32_t flags)
{
#define ENTERS(number, name, size, input) {hp_enter_bell_##name, hp_enter_stub_##name},
    static const struct { const char *bell, *stub; } enters[] = {ROM_CALLS(ENTERS)};
#undef ENTERS
    int i;

    if (!rom || cs_base || (flags & ROM_FLAGS) != ROM_FLAGS_PLAIN || (flags & HFLAG_CPL) > HIGHEST_CPL || hp_counting || hp_coverage)
        return NULL;
    for (i = 0; i < ROM_CALL_COUNT; i++) {
        if (rom->bells[i].code == host)
            return enters[i].bell;
        if (rom->stubs[i].code == host)
            return enters[i].stub;
    }
    return NULL;
}

#endif
