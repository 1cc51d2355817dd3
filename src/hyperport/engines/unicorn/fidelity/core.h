/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the replaced parts of Unicorn 2.1.4's core need of it: offsets, constants and functions.
 *
 * tools/unicorn_layout.c prints the offsets; names that layout.pxi has too have the same value there (a test compares
 * them). hp_find_core() looks the functions up, hp_check_core() looks at a fresh CPU.
 */
#ifndef HYPERPORT_FIDELITY_CORE_H
#define HYPERPORT_FIDELITY_CORE_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "map.h"

enum {
    /* struct uc_struct */
    UC_CPU = 440,
    UC_TCG = 768,
    /* CPUState */
    CPU_UC = 33192,
    CPU_CFLAGS_NEXT_TB = 24,            /* uint32_t: cflags of the next block only */
    CPU_INTERRUPT_REQUEST = 28,
    CPU_ICOUNT_EXTRA = 48,              /* int64_t, which the core does not use */
    CPU_ICOUNT_DECR_PTR = 304,
    CPU_WATCHPOINT_HIT = 33128,         /* CPUWatchpoint *, which the core only compares with NULL */
    CPU_MEM_IO_PC = 33144,              /* uintptr_t: where in translated code device memory is accessed */
    CPU_EXCEPTION_INDEX = 33184,
    CPU_CLASS = 33200,
    /* CPUClass */
    CLASS_UNALIGNED_ACCESS = 24,
    CLASS_DEBUG = 120,
    /* X86CPU */
    X86CPU_TLB_FLUSHES = 33224,         /* size_t[3], of which each flush of a TLB raises one */
    X86CPU_TLB_SLOW = 33248,            /* CPUTLBDesc[3] */
    X86CPU_TLB_FAST = 35344,            /* CPUTLBDescFast[3]: {uintptr_t mask; CPUTLBEntry *table} */
    X86CPU_ENV = 35408,
    /* CPUX86State */
    ENV_REGS = 0,
    ENV_EIP = 128,
    ENV_EFLAGS = 136,
    ENV_CC_SRC = 152,
    ENV_CC_OP = 168,                    /* uint32_t: how flags are kept */
    ENV_HFLAGS = 176,
    ENV_SEGS = 184,
    ENV_TR = 352,
    ENV_IDT = 400,
    ENV_CR = 424,
    ENV_FPSTT = 604,                    /* unsigned */
    ENV_FPUS = 608,                     /* uint16_t */
    ENV_FPUC = 610,                     /* uint16_t */
    ENV_FPTAGS = 612,                   /* uint8_t[8], 1 for empty */
    ENV_FPREGS = 624,                   /* 16 bytes each */
    ENV_FPCS = 754,                     /* uint16_t: of the last x87 instruction, its CS */
    ENV_FPIP = 760,                     /* uint64_t: and its EIP */
    ENV_FP_STATUS = 776,                /* float_status */
    ENV_FT0 = 784,                      /* floatx80 */
    ENV_SSE_STATUS = 808,               /* float_status */
    ENV_MXCSR = 816,                    /* uint32_t */
    ENV_PAT = 5280,                     /* uint64_t */
    ENV_DR = 5400,
    ENV_TSC_OFFSET = 5512,              /* uint64_t */
    /* float_status */
    STATUS_FLAGS = 2,                   /* uint8_t */
    STATUS_FLUSH_TO_ZERO = 4,
    /* SegmentCache */
    SEGMENT_SIZE = 24,
    SEGMENT_BASE = 8,
    SEGMENT_LIMIT = 16,
    SEGMENT_FLAGS = 20,
    /* CPUTLBDesc */
    TLB_SLOW_SIZE = 696,
    TLB_VICTIMS = 48,                   /* CPUTLBEntry[8], the last that others took the place of */
    TLB_VICTIM_COUNT = 8,
    /* CPUTLBEntry */
    TLB_ENTRY_SIZE = 64,
    TLB_ENTRY_SHIFT = 6,
    TLB_READ = 0,                       /* uint64_t: page address and marks */
    TLB_WRITE = 8,
    TLB_CODE = 16,
    TLB_ADDEND = 32,                    /* host address minus guest address */
    TLB_FAST_SIZE = 16,
    TLB_MODES = 3,
    /* TranslationBlock */
    TB_PC = 0,                          /* uint64_t */
    TB_CS_BASE = 8,                     /* uint64_t */
    TB_FLAGS = 16,                      /* uint32_t */
    TB_CFLAGS = 24,                     /* uint32_t */
    TB_CODE = 32,                       /* the host's code */
    TB_SECOND_PAGE = 80,                /* uint64_t, -1 for a block in one page */
    TB_JUMPS_END = 88,                  /* uint16_t[2]: of each way out, where its jump ends in the code */
    TB_JUMPS = 96,                      /* uintptr_t[2]: and where the displacement is */
    TB_LINKS = 112,                     /* list of jumps to this block: a block, and which way out of it in bit 0 */
    TB_NEXT_LINK = 120,                 /* uintptr_t[2]: each of its jumps is in such a list */
    TB_LEADS_TO = 136,                  /* TranslationBlock *[2] */
    /* TCGContext */
    TCG_INVALIDATIONS = 216,            /* size_t, blocks that were made invalid */
    TCG_FLUSHES = 39120,                /* unsigned, of all blocks */
    TCG_NB_GLOBALS = 44,                /* int: the first temporaries, which stand for registers */
    TCG_TEMPS = 904,                    /* where the temporaries are; a handle is the distance from the context */
    TCG_TEMP_SIZE = 56,
    TEMP_AT = 24,                       /* intptr_t: of a register, its place in CPUX86State */
    TEMP_STATE = 40,                    /* uintptr_t, for the passes over the operations */
    TCG_NB_OPS = 56,
    TCG_CODE_PROLOGUE = 144,            /* uintptr_t (*)(env, code) */
    TCG_OPS = 29576,                    /* head of the list of TCGOp */
    TCG_ICOUNT_START = 39128,           /* TCGOp * whose second argument becomes the instructions of the block */
    TCG_CPU_ENV = 39152,                /* handle of the temporary that is env */
    TCG_OP_DEFS = 39272,                /* TCGOpDef[], by opcode */
    TCG_UC = 39280,
    TCG_CPU_SEG_BASE = 39768,           /* handles of six temporaries */
    /* TCGOpDef */
    OP_DEF_SIZE = 32,                   /* begins with the name */
    OP_DEF_OUTPUTS = 8,                 /* uint8_t */
    OP_DEF_FLAGS = 12,                  /* uint8_t */
    /* TCGOp */
    OP_LINK = 8,
    OP_ARGS = 24,
    /* TranslationBlock */
    BLOCK_BYTES = 20,                   /* uint16_t: of the guest's code */
    BLOCK_ICOUNT = 22,                  /* uint16_t: instructions */
    BLOCK_CFLAGS = 24,                  /* uint32_t */
    BLOCK_CODE = 32,                    /* where it is, */
    BLOCK_CODE_SIZE = 40,               /* and its bytes; the notes follow */

    /* values */
    OP_SET_LABEL = 1,                   /* INDEX_op_set_label */
    OP_MOVI_I32 = 6,
    OP_LD_I32 = 13,
    OP_ST_I32 = 16,
    OP_SUB_I32 = 18,
    OP_MOVI_I64 = 64,
    OP_LD_I64 = 73,
    OP_ST_I64 = 77,
    OP_ADD_I64 = 78,
    OP_INSN_START = 129,
    OPCODE = 0xFF,                      /* in the first word of a TCGOp */
    CALL_OUTPUTS = 12,                  /* there: where the outputs of a call are counted, 4 bits */
    OP_ENDS = 2,                        /* TCG_OPF_BB_END */
    FLAGS_AS_STORED = 0,                /* CC_OP_DYNAMIC: as ENV_CC_OP says */
    FLAGS_COMPUTED = 1,                 /* CC_OP_EFLAGS: they are in cc_src */
    CONDITION_LT = 2,                   /* TCG_COND_LT */
    NO_JUMP = 0xFFFF,                   /* TB_JMP_RESET_OFFSET_INVALID */
    EXIT_REQUESTED = 3,                 /* TB_EXIT_REQUESTED */
    EXCEPTION_DEBUG = 0x10002,          /* EXCP_DEBUG */
    CF_USE_ICOUNT = 1 << 17,
    NO_CFLAGS = -1,                     /* in cflags_next_tb */
    MOST_IN_BLOCK = 512,                /* TCG_MAX_INSNS */
    NOTED_WORDS = 2,                    /* TARGET_INSN_START_WORDS */
    CALL_BACK = 2,                      /* GETPC_ADJ: from a return address into the call */
    INTERRUPT_HARD = 2,                 /* CPU_INTERRUPT_HARD */
    TYPE_I32 = 0,                       /* TCG_TYPE_I32 */
    TYPE_I64 = 1,
    MEMOP_SIZE = 3,                     /* log2 of the bytes */
    MEMOP_32 = 2,
    MEMOP_SIGN = 4,
    MEMOP_SHIFT = 4,                    /* above the number of the TLB */
    MEMOP_ALIGN_16 = 64,
    MEMOP_ALIGN = 112,                  /* all bits of alignment */
    WATCH_READ = 1,                     /* BP_MEM_READ */
    WATCH_WRITE = 2,                    /* BP_MEM_WRITE */
    INTERRUPT_DEBUG = 128,              /* CPU_INTERRUPT_DEBUG */
    OPS_FULL = 1 << 20,                 /* more than tcg_op_buf_full() takes for full: the block ends here */
    STORE = 1,                          /* MMU_DATA_STORE */
    MMU_USER = 1,
    MMU_KERNEL = 2,

    TLB_INVALID = 1 << 11,
    TLB_NOT_DIRTY = 1 << 10,
    TLB_MMIO = 1 << 9,
    TLB_DISCARD_WRITE = 1 << 6,
    CF_INVALID = 1 << 18,
    CF_PLAIN = (int)0xFF000000u,       /* a block of no special kind, of no cluster */

    HFLAG_CPL = 3,
    HFLAG_INHIBIT_IRQ = 1 << 3,         /* the shadow of STI and MOV SS */
    HFLAG_CS32 = 1 << 4,
    HFLAG_ADDSEG = 1 << 6,              /* emit the addition of a segment's base */
    HFLAG_IOBPT = 1 << 24,              /* emit a check for I/O breakpoints */
    /* Ours, in bits that the core does not use: they are part of what it finds a block by. */
    HFLAG_SEGMENTS = 1 << 27,           /* CS, SS, DS or ES is not flat and writable: emit checks */
    HFLAG_FS = 1 << 28,
    HFLAG_GS = 1 << 29,                 /* at CPL 3; checks are always emitted below it */
    HFLAG_CODE = 1 << 30,               /* CS ends before 4 GiB; only with HFLAG_SEGMENTS */
    HFLAG_ALIGN = (int)(1u << 31),      /* CR0.AM; the core itself adds EFLAGS.AC to what it finds a block by */

    ES = 0, CS = 1, SS = 2, DS = 3, FS = 4, GS = 5,

    EFLAGS_TF = 1 << 8,
    EFLAGS_RF = 1 << 16,
    EFLAGS_VM = 1 << 17,
    EFLAGS_AC = 1 << 18,
    CR0_AM = 1 << 18,
    CR0_PE = 1, CR0_NW = 1 << 29, CR0_CD = 1 << 30,
    CR4_DE = 1 << 3, CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10,
    VECTOR_DB = 1, VECTOR_UD = 6, VECTOR_SS = 12, VECTOR_GP = 13, VECTOR_AC = 17, VECTOR_XM = 19,
};

typedef struct { uint64_t low, high; } hp_xmm;

#define HP_AT(base, offset, type) (*(type *)((char *)(base) + (offset)))
#define HP_SEGMENT(env, n, field, type) HP_AT(env, ENV_SEGS + (n) * SEGMENT_SIZE + (field), type)
#define HP_CALLER ((uintptr_t)__builtin_return_address(0))      /* a place in translated code, in a replaced helper */
#define HP_RARELY(condition) __builtin_expect(!!(condition), 0)

static struct {
    void (*raise)(void *env, int vector, int error_code, uintptr_t caller);
    void (*raise_now)(void *env, int vector, int error_code);
    _Bool (*restore_state)(void *cpu, uintptr_t caller, _Bool will_exit);
    void (*leave_block)(void *cpu);
    void (*flush_code)(void *cpu);          /* the engine's */
    void (*flush_tlb)(void *cpu);
    void (*update_dr7)(void *env, uint32_t value);
    uint32_t (*load_byte)(void *env, uint64_t address, int mmu, uintptr_t caller);
    uint32_t (*load_long)(void *env, uint64_t address, int mmu, uintptr_t caller);
    void *(*probe_access)(void *env, uint64_t address, int size, int kind, int mmu, uintptr_t caller);
    void *(*block_at)(void *tcg, uintptr_t code);
    void (*io_recompile)(void *cpu, uintptr_t caller);      /* does not return */
} hp_core;

static void *hp_library;
static const char *hp_missing;          /* the symbol that was not found */

static void *hp_symbol(const char *name)
{
    char full[80];
    void *found;

    strcpy(full, name);
    strcat(full, "_x86_64");
    found = dlsym(hp_library, full);
    if (!found && !hp_missing)
        hp_missing = name;
    return found;
}

static inline void *hp_cpu(void *env) { return (char *)env - X86CPU_ENV; }

static inline int hp_mmu(void *env)
{
    return (HP_AT(env, ENV_HFLAGS, uint32_t) & HFLAG_CPL) == 3 ? MMU_USER : MMU_KERNEL;
}

static void hp_find_core(void)
{
#define FIND(field, name) *(void **)&hp_core.field = hp_symbol(name)
    FIND(raise, "raise_exception_err_ra");
    FIND(raise_now, "raise_exception_err");
    FIND(restore_state, "cpu_restore_state");
    FIND(leave_block, "cpu_loop_exit_noexc");
    FIND(flush_tlb, "tlb_flush");
    FIND(update_dr7, "cpu_x86_update_dr7");
    FIND(load_byte, "cpu_ldub_mmuidx_ra");
    FIND(load_long, "cpu_ldl_mmuidx_ra");
    FIND(probe_access, "probe_access");
    FIND(block_at, "tcg_tb_lookup");
    FIND(io_recompile, "cpu_io_recompile");
#undef FIND
}

#endif
