/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints the offsets that src/hyperport/engines/unicorn/layout.pxi and fidelity/core.h hold, from the headers of Unicorn's source
 * distribution (pip download --no-binary :all: unicorn==2.1.4), configured once so that config-host.h exists:
 *
 *     cmake -S unicorn-2.1.4/src -B build -DUNICORN_ARCH=x86
 *     S=unicorn-2.1.4/src
 *     gcc -w -O2 -Ibuild -Ibuild/x86_64-softmmu -I$S/glib_compat -I$S/qemu -I$S/qemu/include -I$S/include -I$S/qemu/tcg \
 *         -I$S/qemu/tcg/i386 -I$S/qemu/target/i386 -DNEED_CPU_H -include $S/qemu/x86_64.h \
 *         -Wl,--defsym,flatview_translate_x86_64=0 tools/unicorn_layout.c -o unicorn_layout && ./unicorn_layout
 */
#include "uc_priv.h"
#include "sysemu/cpus.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/cpu-all.h"
#include "tcg/tcg.h"
#include "unicorn_common.h"
#include <stdio.h>

#define ROW(name, value) printf("    %s = %ld\n", name, (long)(value))

int main(void)
{
    ROW("UC_MEMORY_MAPPING", offsetof(struct uc_struct, memory_mapping));
    ROW("UC_CPU", offsetof(struct uc_struct, cpu));
    ROW("UC_TCG", offsetof(struct uc_struct, tcg_ctx));
    ROW("UC_NO_EXIT_REQUEST", offsetof(struct uc_struct, no_exit_request));
    ROW("CPU_INTERRUPT_REQUEST", offsetof(CPUState, interrupt_request));
    ROW("CPU_ENV_PTR", offsetof(CPUState, env_ptr));
    ROW("CPU_ICOUNT_DECR_PTR", offsetof(CPUState, icount_decr_ptr));
    ROW("CPU_MEM_IO_PC", offsetof(CPUState, mem_io_pc));
    ROW("CPU_HALTED", offsetof(CPUState, halted));
    ROW("CPU_EXCEPTION_INDEX", offsetof(CPUState, exception_index));
    ROW("CPU_UC", offsetof(CPUState, uc));
    ROW("CPU_CLASS", offsetof(CPUState, cc));
    ROW("CLASS_TLB_FILL", offsetof(CPUClass, tlb_fill));
    ROW("CLASS_CPU_EXEC_INTERRUPT", offsetof(CPUClass, cpu_exec_interrupt));
    ROW("X86CPU_TLB_FAST", offsetof(X86CPU, neg.tlb.f));
    ROW("X86CPU_ENV", offsetof(X86CPU, env));
    ROW("ENV_REGS", offsetof(CPUX86State, regs));
    ROW("ENV_EIP", offsetof(CPUX86State, eip));
    ROW("ENV_EFLAGS", offsetof(CPUX86State, eflags));
    ROW("ENV_CC_SRC", offsetof(CPUX86State, cc_src));
    ROW("ENV_CC_OP", offsetof(CPUX86State, cc_op));
    ROW("ENV_DF", offsetof(CPUX86State, df));
    ROW("ENV_HFLAGS", offsetof(CPUX86State, hflags));
    ROW("ENV_SEGS", offsetof(CPUX86State, segs));
    ROW("ENV_LDT", offsetof(CPUX86State, ldt));
    ROW("ENV_TR", offsetof(CPUX86State, tr));
    ROW("ENV_GDT", offsetof(CPUX86State, gdt));
    ROW("ENV_IDT", offsetof(CPUX86State, idt));
    ROW("ENV_CR", offsetof(CPUX86State, cr));
    ROW("ENV_EFER", offsetof(CPUX86State, efer));
    ROW("ENV_FPUS", offsetof(CPUX86State, fpus));
    ROW("ENV_SYSENTER_CS", offsetof(CPUX86State, sysenter_cs));
    ROW("ENV_SYSENTER_ESP", offsetof(CPUX86State, sysenter_esp));
    ROW("ENV_SYSENTER_EIP", offsetof(CPUX86State, sysenter_eip));
    ROW("ENV_ERROR_CODE", offsetof(CPUX86State, error_code));
    ROW("ENV_EXCEPTION_IS_INT", offsetof(CPUX86State, exception_is_int));
    ROW("ENV_EXCEPTION_NEXT_EIP", offsetof(CPUX86State, exception_next_eip));
    ROW("ENV_OLD_EXCEPTION", offsetof(CPUX86State, old_exception));
    ROW("ENV_DR", offsetof(CPUX86State, dr));
    ROW("ENV_FEATURES", offsetof(CPUX86State, features));
    ROW("ENV_UC", offsetof(CPUX86State, uc));
    ROW("X86CPU_TLB_FLUSHES", offsetof(X86CPU, neg.tlb.c.full_flush_count));
    ROW("TB_PC", offsetof(TranslationBlock, pc));
    ROW("TB_CS_BASE", offsetof(TranslationBlock, cs_base));
    ROW("TB_FLAGS", offsetof(TranslationBlock, flags));
    ROW("TB_CFLAGS", offsetof(TranslationBlock, cflags));
    ROW("TB_CODE", offsetof(TranslationBlock, tc.ptr));
    ROW("TB_SECOND_PAGE", offsetof(TranslationBlock, page_addr[1]));
    ROW("TB_JUMPS_END", offsetof(TranslationBlock, jmp_reset_offset));
    ROW("TB_JUMPS", offsetof(TranslationBlock, jmp_target_arg));
    ROW("TB_LINKS", offsetof(TranslationBlock, jmp_list_head));
    ROW("TB_NEXT_LINK", offsetof(TranslationBlock, jmp_list_next));
    ROW("TB_LEADS_TO", offsetof(TranslationBlock, jmp_dest));
    ROW("NO_JUMP", TB_JMP_RESET_OFFSET_INVALID);
    ROW("TB_SIZE", sizeof(TranslationBlock));
    ROW("TCG_INVALIDATIONS", offsetof(TCGContext, tb_phys_invalidate_count));
    ROW("TCG_FLUSHES", offsetof(TCGContext, tb_ctx.tb_flush_count));
    ROW("CF_INVALID", CF_INVALID);
    ROW("TCG_NB_GLOBALS", offsetof(TCGContext, nb_globals));
    ROW("TCG_NB_TEMPS", offsetof(TCGContext, nb_temps));
    ROW("TCG_NB_OPS", offsetof(TCGContext, nb_ops));
    ROW("TCG_UC", offsetof(TCGContext, uc));
    ROW("TCG_MAX_TEMPS", TCG_MAX_TEMPS);
    ROW("SEGMENT_SIZE", sizeof(SegmentCache));
    ROW("SEGMENT_BASE", offsetof(SegmentCache, base));
    ROW("SEGMENT_LIMIT", offsetof(SegmentCache, limit));
    ROW("SEGMENT_FLAGS", offsetof(SegmentCache, flags));
    ROW("TLB_ENTRY_SIZE", sizeof(CPUTLBEntry));
    ROW("TLB_WRITE", offsetof(CPUTLBEntry, addr_write));
    ROW("TLB_CODE", offsetof(CPUTLBEntry, addr_code));
    ROW("TLB_ADDEND", offsetof(CPUTLBEntry, addend));
    ROW("TLB_FAST_SIZE", sizeof(CPUTLBDescFast));
    ROW("TLB_MODES", NB_MMU_MODES);
    ROW("TLB_INVALID", TLB_INVALID_MASK);
    ROW("TLB_NOT_DIRTY", TLB_NOTDIRTY);
    ROW("FEATURE_1_EDX", FEAT_1_EDX);
    ROW("FEATURE_1_ECX", FEAT_1_ECX);
    ROW("FEATURE_80000001_EDX", FEAT_8000_0001_EDX);
    printf("\n/* fidelity/core.h */\n");
    ROW("CPU_CFLAGS_NEXT_TB", offsetof(CPUState, cflags_next_tb));
    ROW("CPU_ICOUNT_EXTRA", offsetof(CPUState, icount_extra));
    ROW("CPU_MEM_IO_PC", offsetof(CPUState, mem_io_pc));
    ROW("X86CPU_TLB_SLOW", offsetof(X86CPU, neg.tlb.d));
    ROW("TLB_SLOW_SIZE", sizeof(CPUTLBDesc));
    ROW("TLB_VICTIMS", offsetof(CPUTLBDesc, vtable));
    ROW("TLB_VICTIM_COUNT", CPU_VTLB_SIZE);
    ROW("TLB_READ", offsetof(CPUTLBEntry, addr_read));
    ROW("TLB_MMIO", TLB_MMIO);
    ROW("TLB_DISCARD_WRITE", TLB_DISCARD_WRITE);
    ROW("CPU_WATCHPOINT_HIT", offsetof(CPUState, watchpoint_hit));
    ROW("CLASS_UNALIGNED_ACCESS", offsetof(CPUClass, do_unaligned_access));
    ROW("CLASS_DEBUG", offsetof(CPUClass, debug_excp_handler));
    ROW("ENV_FPSTT", offsetof(CPUX86State, fpstt));
    ROW("ENV_FPUC", offsetof(CPUX86State, fpuc));
    ROW("ENV_FPTAGS", offsetof(CPUX86State, fptags));
    ROW("ENV_FPCS", offsetof(CPUX86State, fpcs));
    ROW("ENV_FPIP", offsetof(CPUX86State, fpip));
    ROW("ENV_FPREGS", offsetof(CPUX86State, fpregs));
    ROW("ENV_FP_STATUS", offsetof(CPUX86State, fp_status));
    ROW("ENV_FT0", offsetof(CPUX86State, ft0));
    ROW("ENV_SSE_STATUS", offsetof(CPUX86State, sse_status));
    ROW("ENV_MXCSR", offsetof(CPUX86State, mxcsr));
    ROW("ENV_PAT", offsetof(CPUX86State, pat));
    ROW("ENV_TSC_OFFSET", offsetof(CPUX86State, tsc_offset));
    ROW("STATUS_FLAGS", offsetof(float_status, float_exception_flags));
    ROW("STATUS_FLUSH_TO_ZERO", offsetof(float_status, flush_to_zero));
    ROW("TCG_TEMPS", offsetof(TCGContext, temps));
    ROW("TCG_TEMP_SIZE", sizeof(TCGTemp));
    ROW("TEMP_AT", offsetof(TCGTemp, mem_offset));
    ROW("TEMP_STATE", offsetof(TCGTemp, state));
    ROW("TCG_OPS", offsetof(TCGContext, ops));
    ROW("TCG_CODE_PROLOGUE", offsetof(TCGContext, code_gen_prologue));
    ROW("TCG_ICOUNT_START", offsetof(TCGContext, icount_start_insn));
    ROW("TCG_CPU_ENV", offsetof(TCGContext, cpu_env));
    ROW("TCG_CPU_SEG_BASE", offsetof(TCGContext, cpu_seg_base));
    ROW("OP_LINK", offsetof(TCGOp, link));
    ROW("OP_ARGS", offsetof(TCGOp, args));
    ROW("TCG_OP_DEFS", offsetof(TCGContext, tcg_op_defs));
    ROW("BLOCK_BYTES", offsetof(TranslationBlock, size));
    ROW("BLOCK_ICOUNT", offsetof(TranslationBlock, icount));
    ROW("BLOCK_CFLAGS", offsetof(TranslationBlock, cflags));
    ROW("BLOCK_CODE", offsetof(TranslationBlock, tc.ptr));
    ROW("BLOCK_CODE_SIZE", offsetof(TranslationBlock, tc.size));
    ROW("OP_DEF_SIZE", sizeof(TCGOpDef));
    ROW("OP_DEF_OUTPUTS", offsetof(TCGOpDef, nb_oargs));
    ROW("OP_DEF_FLAGS", offsetof(TCGOpDef, flags));
    ROW("OP_SET_LABEL", INDEX_op_set_label);
    ROW("OP_MOVI_I32", INDEX_op_movi_i32);
    ROW("OP_LD_I32", INDEX_op_ld_i32);
    ROW("OP_ST_I32", INDEX_op_st_i32);
    ROW("OP_SUB_I32", INDEX_op_sub_i32);
    ROW("OP_MOVI_I64", INDEX_op_movi_i64);
    ROW("OP_LD_I64", INDEX_op_ld_i64);
    ROW("OP_ST_I64", INDEX_op_st_i64);
    ROW("OP_ADD_I64", INDEX_op_add_i64);
    ROW("CONDITION_LT", TCG_COND_LT);
    ROW("EXIT_REQUESTED", TB_EXIT_REQUESTED);
    ROW("EXCEPTION_DEBUG", EXCP_DEBUG);
    ROW("CF_USE_ICOUNT", CF_USE_ICOUNT);
    ROW("MOST_IN_BLOCK", TCG_MAX_INSNS);
    ROW("NOTED_WORDS", TARGET_INSN_START_WORDS);
    ROW("MEMOP_SIZE", MO_SIZE);
    ROW("MEMOP_ALIGN_16", MO_ALIGN_16);
    ROW("MEMOP_ALIGN", MO_ALIGN);
    ROW("WATCH_READ", BP_MEM_READ);
    ROW("WATCH_WRITE", BP_MEM_WRITE);
    ROW("INTERRUPT_DEBUG", CPU_INTERRUPT_DEBUG);
    ROW("HFLAG_IOBPT", HF_IOBPT_MASK);
    return 0;
}
