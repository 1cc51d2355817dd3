/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns an abort() inside libunicorn into an end of the guest.
 *
 * QEMU's core calls cpu_abort() where a guest does what QEMU's authors did not care to emulate, and other internal
 * checks end in abort() or a failed assert. A guest must not be able to end the VMM, so the library's own import slots
 * of these functions are redirected here: while a guest runs on this thread, control goes back to hp_guarded_start(),
 * which reports the reason. The engine is then in an unknown state and must not be entered again, only closed: the core
 * holds no locks (they are compiled out), its lists are whole wherever it gives up, and closing is guarded too.
 * Outside of that window abort() is abort().
 *
 * One such place is not an end of the guest: an interrupt or a call gate to an inner ring while TR holds no TSS. See
 * delivery.pyx, which hp_on_invalid_tss leads to.
 *
 * One thing the core gets wrong cannot be caught that way: it divides EDX:EAX by a 32-bit number with the host's
 * 64-bit IDIV, and for 8000000000000000h by -1 the host traps (SIGFPE). Its helper is replaced by hp_idivl().
 */
#ifndef HYPERPORT_GUARD_H
#define HYPERPORT_GUARD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef int (*hp_start_function)(void *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count);

static __thread sigjmp_buf hp_guard_return;
static __thread int hp_guard_armed;
static __thread char hp_guard_reason[160];

static void hp_leave(void)
{
    if (hp_guard_armed) {
        hp_guard_armed = 0;
        siglongjmp(hp_guard_return, 1);
    }
    abort();
}

static void hp_on_abort(void)
{
    if (hp_guard_armed && !hp_guard_reason[0])
        snprintf(hp_guard_reason, sizeof hp_guard_reason, "internal check failed");
    hp_leave();
}

static void (*hp_on_invalid_tss)(void *cpu);     /* does not return */

static void hp_on_cpu_abort(void *cpu, const char *format, ...)
{
    va_list arguments;
    if (hp_guard_armed && hp_on_invalid_tss && !strncmp(format, "invalid tss", 11))
        hp_on_invalid_tss(cpu);
    va_start(arguments, format);
    vsnprintf(hp_guard_reason, sizeof hp_guard_reason, format, arguments);
    va_end(arguments);
    hp_leave();
}

static void hp_on_assert(const char *expression, const char *file, unsigned line, const char *function)
{
    (void)file;
    (void)line;
    snprintf(hp_guard_reason, sizeof hp_guard_reason, "assertion '%s' failed in %s", expression, function);
    hp_leave();
}

/* Run until uc_emu_start returns (its uc_err) or the library gives up (-1; the reason is in hp_guard_reason). */
static int hp_guarded_start(hp_start_function start, void *uc, uint64_t begin)
{
    int result;
    hp_guard_reason[0] = 0;
    if (sigsetjmp(hp_guard_return, 0))
        return -1;
    hp_guard_armed = 1;
    result = start(uc, begin, UINT64_MAX, 0, 0);
    hp_guard_armed = 0;
    return result;
}

/* uc_close, which may give up as well: -1. Another guest may run on this thread, whose device lets go of this one. */
static int hp_guarded_close(int (*close)(void *uc), void *uc)
{
    sigjmp_buf outer;
    int outer_armed = hp_guard_armed;
    volatile int result = -1;

    memcpy(&outer, &hp_guard_return, sizeof outer);
    if (!sigsetjmp(hp_guard_return, 0)) {
        hp_guard_armed = 1;
        result = close(uc);
    }
    memcpy(&hp_guard_return, &outer, sizeof outer);
    hp_guard_armed = outer_armed;
    return result;
}

/* glibc relocates the addresses in a library's dynamic section, other C libraries leave them relative. */
static const void *hp_dynamic(const struct link_map *map, ElfW(Addr) address)
{
    return (const void *)(address < map->l_addr ? map->l_addr + address : address);
}

/* Point the import slot(s) of `name` in the library behind `handle` to `target`. Returns how many were found. */
static int hp_redirect(void *handle, const char *name, void *target)
{
    struct link_map *map;
    const ElfW(Dyn) *entry;
    const ElfW(Sym) *symbols = NULL;
    const char *strings = NULL;
    const ElfW(Rela) *slots = NULL;
    size_t bytes = 0, i;
    long page = sysconf(_SC_PAGESIZE);
    int found = 0;

    if (dlinfo(handle, RTLD_DI_LINKMAP, &map))
        return 0;
    for (entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB: symbols = hp_dynamic(map, entry->d_un.d_ptr); break;
        case DT_STRTAB: strings = hp_dynamic(map, entry->d_un.d_ptr); break;
        case DT_JMPREL: slots = hp_dynamic(map, entry->d_un.d_ptr); break;
        case DT_PLTRELSZ: bytes = entry->d_un.d_val; break;
        default: break;
        }
    }
    if (!symbols || !strings || !slots)
        return 0;
    for (i = 0; i < bytes / sizeof *slots; i++) {
        uintptr_t slot = map->l_addr + slots[i].r_offset;
        if (strcmp(strings + symbols[ELF64_R_SYM(slots[i].r_info)].st_name, name))
            continue;
        if (mprotect((void *)(slot & ~(uintptr_t)(page - 1)), (size_t)page, PROT_READ | PROT_WRITE))
            return 0;
        *(void **)slot = target;
        found++;
    }
    return found;
}

static void (*hp_raise_exception)(void *env, int vector, uintptr_t return_address);

/* IDIV r/m32. env begins with the registers, 64 bits each; what does not fit into EAX is #DE (SDM vol. 2A, IDIV). */
static void hp_idivl(void *env, uint64_t operand)
{
    uint64_t *registers = env;
    int64_t dividend = (int64_t)((registers[2] << 32) | (uint32_t)registers[0]);
    int64_t divisor = (int32_t)operand, quotient;

    if (divisor == 0 || (divisor == -1 && dividend == INT64_MIN))
        hp_raise_exception(env, 0, (uintptr_t)__builtin_return_address(0));
    quotient = dividend / divisor;
    if (quotient != (int32_t)quotient)
        hp_raise_exception(env, 0, (uintptr_t)__builtin_return_address(0));
    registers[0] = (uint32_t)quotient;
    registers[2] = (uint32_t)(dividend % divisor);
}

/* Make the code at `function` a jump to `target`. Returns 0 where the host forbids that. */
static int hp_replace(void *function, void *target)
{
    unsigned char jump[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};    /* mov rax, target; jmp rax */
    uintptr_t page = (uintptr_t)function & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    size_t length = (uintptr_t)function + sizeof jump - page;

    memcpy(jump + 2, &target, sizeof target);
    if (mprotect((void *)page, length, PROT_READ | PROT_WRITE | PROT_EXEC))
        return 0;
    memcpy(function, jump, sizeof jump);
    return !mprotect((void *)page, length, PROT_READ | PROT_EXEC);
}

/* Returns less than 2 where the library is not what we know. */
static int hp_install_guard(void *handle)
{
    void *idivl = dlsym(handle, "helper_idivl_EAX_x86_64");
    void *raise = dlsym(handle, "raise_exception_ra_x86_64");

    if (!idivl || !raise)
        return 0;
    memcpy(&hp_raise_exception, &raise, sizeof raise);
    if (!hp_replace(idivl, (void *)hp_idivl))
        return 0;
    hp_redirect(handle, "__assert_fail", (void *)hp_on_assert);
    return hp_redirect(handle, "abort", (void *)hp_on_abort) +
           hp_redirect(handle, "cpu_abort_x86_64", (void *)hp_on_cpu_abort);
}

#endif
