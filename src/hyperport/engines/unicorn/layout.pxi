# SPDX-License-Identifier: GPL-2.0-or-later
# Where Unicorn 2.1.4's x86 core (QEMU 5.0.1, TARGET_X86_64) keeps what the public API hides. Offsets in bytes.
# tools/unicorn_layout.c prints this table from the headers of the 2.1.4 source distribution; library.pyx checks
# it against the running library. Unicorn is pinned to this version for that reason.

cdef enum:
    # struct uc_struct
    UC_MEMORY_MAPPING = 288         # MemoryRegion *(*)(uc, physical address), asked on every slow load and store
    UC_CPU = 440                    # CPUState *
    UC_TCG = 768                    # TCGContext *, the translator's
    UC_NO_EXIT_REQUEST = 2034       # bool: emit no exit check after each load and store
    # CPUState
    CPU_INTERRUPT_REQUEST = 28      # uint32_t
    CPU_ENV_PTR = 296               # CPUX86State *
    CPU_ICOUNT_DECR_PTR = 304       # IcountDecr *; its upper half ends the current chain of blocks
    CPU_MEM_IO_PC = 33144           # uintptr_t: the place in translated code whose load or store is a device's
    CPU_HALTED = 33176              # uint32_t
    CPU_EXCEPTION_INDEX = 33184     # int32_t
    CPU_UC = 33192                  # struct uc_struct *
    CPU_CLASS = 33200               # CPUClass *
    # CPUClass
    CLASS_TLB_FILL = 72
    CLASS_CPU_EXEC_INTERRUPT = 144
    # X86CPU
    X86CPU_TLB_FLUSHES = 33224      # size_t[3], of which each flush of a TLB raises one
    X86CPU_TLB_FAST = 35344         # CPUTLBDescFast[3]: {uintptr_t mask; CPUTLBEntry *table}
    X86CPU_ENV = 35408              # CPUX86State
    # CPUX86State
    ENV_REGS = 0                    # uint64_t[16]
    ENV_EIP = 128
    ENV_EFLAGS = 136                # without the arithmetic flags and DF
    ENV_CC_SRC = 152
    ENV_CC_OP = 168                 # uint32_t
    ENV_DF = 172                    # int32_t, +1 or -1
    ENV_HFLAGS = 176                # uint32_t
    ENV_SEGS = 184                  # SegmentCache[6]
    ENV_LDT = 328
    ENV_TR = 352
    ENV_GDT = 376
    ENV_IDT = 400
    ENV_CR = 424                    # uint64_t[5]
    ENV_EFER = 592                  # uint64_t
    ENV_FPUS = 608                  # uint16_t, without TOP
    ENV_SYSENTER_CS = 4800          # uint32_t
    ENV_SYSENTER_ESP = 4808
    ENV_SYSENTER_EIP = 4816
    ENV_ERROR_CODE = 5384           # int32_t
    ENV_EXCEPTION_IS_INT = 5388     # int32_t
    ENV_EXCEPTION_NEXT_EIP = 5392   # uint64_t
    ENV_DR = 5400                   # uint64_t[8]
    ENV_OLD_EXCEPTION = 5496        # int32_t
    ENV_FEATURES = 5632             # uint64_t[34]
    ENV_UC = 7000                   # struct uc_struct *
    # TranslationBlock, the record of a block; its code follows
    TB_PC = 0                       # uint64_t
    TB_CS_BASE = 8                  # uint64_t
    TB_FLAGS = 16                   # uint32_t
    TB_CFLAGS = 24                  # uint32_t
    TB_CODE = 32                    # the host's code
    TB_SECOND_PAGE = 80             # uint64_t, -1 for a block in one page
    TB_SIZE = 160
    # TCGContext
    TCG_INVALIDATIONS = 216         # size_t, blocks that were made invalid
    TCG_FLUSHES = 39120             # unsigned, of all blocks
    TCG_NB_GLOBALS = 44             # int: the first temporaries, which stand for registers
    TCG_NB_TEMPS = 48               # int: temporaries in use or used in this block
    TCG_NB_OPS = 56                 # int: operations of this block
    TCG_OPS = 29576                 # head of the list of TCGOp
    TCG_UC = 39280                  # struct uc_struct *
    # SegmentCache
    SEGMENT_SIZE = 24
    SEGMENT_BASE = 8                # uint64_t
    SEGMENT_LIMIT = 16              # uint32_t
    SEGMENT_FLAGS = 20              # uint32_t, as the descriptor's second doubleword
    # CPUTLBEntry
    TLB_ENTRY_SIZE = 64
    TLB_ENTRY_SHIFT = 6
    TLB_WRITE = 8                   # uint64_t: page address and flag bits
    TLB_CODE = 16
    TLB_ADDEND = 32                 # host address minus guest address
    TLB_FAST_SIZE = 16
    TLB_MODES = 3

    # values
    TCG_MAX_TEMPS = 512             # size of TCGContext.temps
    REGISTER_TEMPS = 36             # nb_globals, once the CPU is there; before the first block also nb_temps
    TCG_OPS_FULL = 4000             # tcg_op_buf_full(): a block with so many operations takes no more instructions
    EXIT_REQUESTED = 3              # TB_EXIT_REQUESTED
    CF_INVALID = 1 << 18
    CF_PLAIN = 0xFF << 24           # a block of no special kind, of no cluster
    INTERRUPT_HARD = 2              # CPU_INTERRUPT_HARD
    EXCEPTION_DOUBLE_FAULT = 8
    CC_OP_EFLAGS = 1                # the flags are in cc_src as they are
    TLB_INVALID = 1 << 11
    TLB_NOT_DIRTY = 1 << 10
    TLB_DISCARD_WRITE = 1 << 6
    MMU_USER = 1                    # MMU_USER_IDX
    MMU_KERNEL = 2                  # MMU_KNOSMAP_IDX
    ACCESS_LOAD = 0                 # MMU_DATA_LOAD
    ACCESS_STORE = 1                # MMU_DATA_STORE
    ACCESS_FETCH = 2                # MMU_INST_FETCH
    FEATURE_1_EDX = 0
    FEATURE_1_ECX = 1
    FEATURE_80000001_EDX = 6
    HFLAG_CPL = 3
    HFLAG_INHIBIT_IRQ = 1 << 3      # the shadow of STI and MOV SS
    HFLAG_CS32 = 1 << 4
    HFLAG_SS32 = 1 << 5
    HFLAG_ADDSEG = 1 << 6
    HFLAG_IOBPT = 1 << 24           # an I/O breakpoint is enabled
    HFLAG_SEGMENTS = 1 << 27        # ours, as the next three: see fidelity/core.h
    HFLAG_FS = 1 << 28
    HFLAG_GS = 1 << 29
    HFLAG_CODE = 1 << 30

    # public constants of unicorn.h and x86.h
    UC_ARCH_X86 = 4
    UC_MODE_32 = 4
    UC_PROT_ALL = 7
    UC_HOOK_INTR = 1 << 0
    UC_HOOK_INSN = 1 << 1
    UC_HOOK_INSN_INVALID = 1 << 14
    UC_HOOK_EDGE_GENERATED = 1 << 15
    UC_X86_INS_CPUID = 113
    UC_X86_INS_SYSENTER = 700
    UC_X86_REG_EFLAGS = 25
    UC_X86_REG_FPSW = 31
    UC_X86_REG_FP0 = 82             # by their place in the register stack's array, not from its top
    UC_X86_REG_XMM0 = 122
    UC_X86_REG_FPCW = 246
    UC_X86_REG_FPTAG = 247          # two bits each, 3 for empty
    UC_X86_REG_MXCSR = 249
    UC_CTL_USE_EXITS = 4 | 1 << 26 | 1 << 30
    UC_CTL_CPU_MODEL = 7 | 1 << 26 | 1 << 30
    UC_CTL_TCG_BUFFER_SIZE = 13 | 1 << 26 | 1 << 30
    UC_CPU_X86_QEMU32 = 4
