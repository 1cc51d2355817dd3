# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Once per process, before the first guest: does this build's translator work the way that our changes to it need?

The filter knows an opcode by the place in the library that asks for it. A compiler that does not inline cpu_ldub_code's
callers leaves one such place for opcodes and operands alike; then the filter would change constants of the guest. So a
CPU of its own translates a block with each kind of operand, and who asks for each byte is looked at. It costs less than
a millisecond. translator_limits.pxd needs a count of temporaries that counts, fidelity/blocks.h that a block begins
with a call of check_exit_request() and ends with the way out for it, fidelity/jumps.h the record of a block and the
counts of what makes one invalid; that is looked at too.
"""

from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from hyperport.engines.unicorn.fields cimport at, u32, u64
from hyperport.engines.unicorn.library cimport Library, check_layout, redirect

from hyperport.engines.unicorn.library import ADVICE
from hyperport.errors import EngineError

include "layout.pxi"

cdef extern from *:
    uintptr_t hp_return_address "(uintptr_t) __builtin_return_address"(int level) nogil

cdef enum:
    PAGE = 4096
    MOST_READS = 256
    CODE_BUFFER = 1 << 20

cdef struct Read:
    uint64_t address
    uintptr_t caller
    int temporaries

# Instructions that need nothing but registers; `int` ends the block, and the run.
BLOCK = tuple(bytes.fromhex(text) for text in (
    "40",                   # inc eax
    "b06c",                 # mov al, imm8
    "046d",                 # add al, imm8
    "83c06e",               # add eax, imm8 sign-extended
    "c0e06f",               # shl al, imm8
    "6bc06c",               # imul eax, eax, imm8
    "c6c06d",               # mov al, imm8, with ModRM
    "f6c06e",               # test al, imm8
    "8d4423ec",             # lea eax, [ebx+disp8], with SIB
    "0fb6c0",               # movzx eax, al
    "0fa4c06f",             # shld eax, eax, imm8
    "0fbae06c",             # bt eax, imm8
    "d9e8", "ddd8",         # fld1; fstp st(0)
    *["d40a"] * 8,          # aam, which leaves a temporary behind, of which others have left a few
    "cd6f",                 # int imm8
))
HUNGRY = bytes.fromhex("d40a")

cdef Read reads[MOST_READS]
cdef int read_count = 0
cdef void *watched = NULL           # env of the CPU that translates the block
cdef char *watched_tcg = NULL
cdef void *first_call = NULL        # the first helper that the block calls,
cdef int last_exit = -1             # and its last way out
cdef char *last_block = NULL        # the core's record of it
cdef Library *plain = NULL
checked = False


cdef uint32_t recorded_byte(void *env, uint64_t address) noexcept nogil:
    global read_count
    if env == watched and read_count < MOST_READS:
        reads[read_count] = Read(address, hp_return_address(0), <int> u32(watched_tcg, TCG_NB_TEMPS)[0])
        read_count += 1
    return plain.fetch_byte(env, address)


cdef void recorded_call(void *tcg, void *function, void *result, int count, void **arguments) noexcept nogil:
    global first_call
    if first_call == NULL and tcg == watched_tcg:
        first_call = function
    plain.emit_call(tcg, function, result, count, arguments)


cdef void recorded_exit(void *tcg, void *block, unsigned reason) noexcept nogil:
    global last_exit, last_block
    if tcg == watched_tcg:
        last_exit = <int> reason
        last_block = <char *> block
    plain.emit_exit(tcg, block, reason)


cdef void interrupted(void *uc, uint32_t vector, void *user) noexcept nogil:
    plain.emu_stop(uc)


cdef int check_translator(Library *library) except -1:
    """Raises EngineError for a build that code_filter.pyx, translator_limits.pxd and fidelity/blocks.h do not fit."""
    global plain, checked
    if checked:
        return 0
    plain = library
    redirect(b"cpu_ldub_code_x86_64", <void *> recorded_byte)
    redirect(b"tcg_gen_callN_x86_64", <void *> recorded_call)
    redirect(b"tcg_gen_exit_tb_x86_64", <void *> recorded_exit)
    try:
        translate(library)
    finally:
        redirect(b"cpu_ldub_code_x86_64", <void *> library.fetch_byte)
        redirect(b"tcg_gen_callN_x86_64", <void *> library.emit_call)
        redirect(b"tcg_gen_exit_tb_x86_64", <void *> library.emit_exit)
    judge()
    checked = True
    return 0


cdef int translate(Library *library) except -1:
    """Have the block translated, with each read of a code byte in `reads`."""
    global watched, watched_tcg, read_count, first_call, last_exit, last_block
    cdef void *uc = NULL
    cdef size_t hook
    cdef bytes code = b"".join(BLOCK)
    cdef char *raw = <char *> malloc(2 * PAGE)
    cdef char *page = <char *> ((<uintptr_t> raw + PAGE - 1) & ~<uintptr_t> (PAGE - 1))
    cdef int error = 0
    if raw == NULL:
        raise MemoryError("no memory for a page of code")
    memset(page, 0, PAGE)
    memcpy(page, <const char *> code, len(code))
    try:
        error |= library.open(UC_ARCH_X86, UC_MODE_32, &uc)
        error |= library.ctl(uc, UC_CTL_TCG_BUFFER_SIZE, <uint32_t> CODE_BUFFER)
        error |= library.mem_map_ptr(uc, 0, PAGE, UC_PROT_ALL, page)
        error |= library.hook_add(uc, &hook, UC_HOOK_INTR, <void *> interrupted, NULL, <uint64_t> 1, <uint64_t> 0)
        if error:
            raise EngineError(f"libunicorn does not run a CPU to check itself; {ADVICE}")
        check_layout(library, uc)
        watched = at(<char *> at(<char *> uc, UC_CPU), CPU_ENV_PTR)
        watched_tcg = <char *> at(<char *> uc, UC_TCG)
        read_count = 0
        first_call = NULL
        last_exit = -1
        last_block = NULL
        library.emu_start(uc, 0, PAGE, 0, 0)
        judge_counts(library, uc)
    finally:
        watched = NULL
        if uc != NULL:
            library.close(uc)
        free(raw)
    return 0


cdef int judge_counts(Library *library, void *uc) except -1:
    """The record of the block that was run, and what is counted when blocks and addresses are forgotten."""
    cdef char *cpu = <char *> at(<char *> uc, UC_CPU)
    cdef uint64_t code, invalidations, flushes
    cdef uint32_t all_dropped
    if last_block == NULL:
        raise EngineError(f"libunicorn leaves blocks of code in another way: it is another build; {ADVICE}")
    code = u64(last_block, TB_CODE)[0] - <uint64_t> last_block
    invalidations = u64(watched_tcg, TCG_INVALIDATIONS)[0]
    flushes = flush_count(cpu)
    all_dropped = u32(watched_tcg, TCG_FLUSHES)[0]
    record = (
        u64(last_block, TB_PC)[0] == 0, u64(last_block, TB_CS_BASE)[0] == 0,
        u32(last_block, TB_FLAGS)[0] == u32(<char *> watched, ENV_HFLAGS)[0],
        u32(last_block, TB_CFLAGS)[0] == <uint32_t> CF_PLAIN,
        u64(last_block, TB_SECOND_PAGE)[0] == <uint64_t> -1, TB_SIZE <= code < 2 * TB_SIZE,
    )
    library.invalidate_range(uc, 0, PAGE)
    library.flush_tlb(cpu)
    counts = (
        u64(watched_tcg, TCG_INVALIDATIONS)[0] - invalidations == 1,
        u32(last_block, TB_CFLAGS)[0] == <uint32_t> (CF_PLAIN | CF_INVALID),
        0 < flush_count(cpu) - flushes <= TLB_MODES,
    )
    library.flush_code(cpu)
    if not all(record + counts) or u32(watched_tcg, TCG_FLUSHES)[0] - all_dropped != 1:
        raise EngineError(f"libunicorn keeps blocks of code in another way: it is another build; {ADVICE}")
    return 0


cdef uint64_t flush_count(char *cpu) noexcept:
    return u64(cpu, X86CPU_TLB_FLUSHES)[0] + u64(cpu, X86CPU_TLB_FLUSHES + 8)[0] + u64(cpu, X86CPU_TLB_FLUSHES + 16)[0]


cdef int judge() except -1:
    """Opcodes from one place and nothing else from there; temporaries that grow where they are left behind; the exit check."""
    cdef int i
    cdef uintptr_t opcodes = reads[0].caller
    starts = {}
    address = 0
    for instruction in BLOCK:
        starts[address] = instruction
        address += len(instruction)
    seen = {reads[i].address: (reads[i].caller == opcodes, reads[i].temporaries) for i in range(read_count)}
    for address in starts:
        if address not in seen:
            raise EngineError(f"libunicorn does not read code by cpu_ldub_code: it is another build; {ADVICE}")
    for address, (as_opcode, _) in seen.items():
        if as_opcode != (address in starts):
            raise EngineError("libunicorn reads opcodes and operands at one place (its cpu_ldub_code is not inlined), so "
                              f"port instructions cannot be told from constants: it is another build; {ADVICE}")
    *_, first, second = [seen[address][1] for address, instruction in starts.items() if instruction == HUNGRY]
    if not 0 < first < second < TCG_MAX_TEMPS:
        raise EngineError(f"libunicorn counts temporaries elsewhere: it is another build; {ADVICE}")
    if first_call != plain.check_exit_request or last_exit != EXIT_REQUESTED:
        raise EngineError(f"libunicorn leaves blocks of code in another way: it is another build; {ADVICE}")
    return 0
