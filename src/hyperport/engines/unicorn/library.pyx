# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The Unicorn library as the engine needs it: its public calls, the private ones it exports, and the checks.

The unicorn package is never imported: its ctypes binding would cost a conversion per call. The library is opened
from where the package is installed, every symbol is resolved by name, and the private layout (layout.pxi) is
compared with what a fresh CPU looks like. Anything unexpected is one EngineError that names the version wanted.
"""

import importlib.util
from pathlib import Path

from libc.stdint cimport uint64_t

from hyperport.errors import EngineError

include "layout.pxi"

cdef extern from "dlfcn.h":
    void *dlopen(const char *path, int flags)
    void *dlsym(void *handle, const char *name)
    char *dlerror()
    int RTLD_NOW
    int RTLD_LAZY
    int RTLD_LOCAL

cdef extern from "guard.h":
    int hp_guarded_start(start_function start, void *uc, uint64_t begin) nogil
    int hp_guarded_close(int (*close)(void *uc) noexcept nogil, void *uc) nogil
    void (*hp_on_invalid_tss)(void *cpu) noexcept nogil
    int hp_install_guard(void *handle)
    int hp_replace(void *function, void *target)
    int hp_redirect(void *handle, const char *name, void *target)
    char *hp_guard_reason

WANTED = "2.1.4"
ADVICE = f"hyperport needs unicorn=={WANTED} from PyPI: pip install unicorn=={WANTED}"

# field of Library, symbol
SYMBOLS = (
    ("open", b"uc_open"),
    ("close", b"uc_close"),
    ("ctl", b"uc_ctl"),
    ("mem_map_ptr", b"uc_mem_map_ptr"),
    ("mmio_map", b"uc_mmio_map"),
    ("mem_protect", b"uc_mem_protect"),
    ("hook_add", b"uc_hook_add"),
    ("reg_read", b"uc_reg_read"),
    ("reg_write", b"uc_reg_write"),
    ("emu_start", b"uc_emu_start"),
    ("emu_stop", b"uc_emu_stop"),
    ("strerror", b"uc_strerror"),
    ("do_interrupt", b"x86_cpu_do_interrupt_x86_64"),
    ("do_hardware_interrupt", b"do_interrupt_x86_hardirq_x86_64"),
    ("pending_interrupt", b"x86_cpu_pending_interrupt_x86_64"),
    ("restore_state", b"cpu_restore_state_x86_64"),
    ("raise_exception", b"raise_exception_err_x86_64"),
    ("load_word", b"cpu_lduw_mmuidx_ra_x86_64"),
    ("load_byte", b"cpu_ldub_mmuidx_ra_x86_64"),
    ("load_long", b"cpu_ldl_mmuidx_ra_x86_64"),
    ("store_byte", b"cpu_stb_mmuidx_ra_x86_64"),
    ("store_word", b"cpu_stw_mmuidx_ra_x86_64"),
    ("store_long", b"cpu_stl_mmuidx_ra_x86_64"),
    ("probe_access", b"probe_access_x86_64"),
    ("raise_exception_from", b"raise_exception_err_ra_x86_64"),
    ("leave_block", b"cpu_loop_exit_noexc_x86_64"),
    ("flush_code", b"tb_flush_x86_64"),
    ("flush_tlb", b"tlb_flush_x86_64"),
    ("update_cr0", b"cpu_x86_update_cr0_x86_64"),
    ("update_cr3", b"cpu_x86_update_cr3_x86_64"),
    ("update_cr4", b"cpu_x86_update_cr4_x86_64"),
    ("set_a20", b"x86_cpu_set_a20_x86_64"),
    ("code_page_host", b"get_page_addr_code_hostp_x86_64"),
    ("ram_address", b"qemu_ram_addr_from_host_x86_64"),
    ("invalidate_range", b"tb_invalidate_phys_range_x86_64"),
    ("drop_code_stored_to", b"tb_invalidate_phys_page_fast_x86_64"),
    ("tlb_fill", b"x86_cpu_tlb_fill_x86_64"),
    ("exec_interrupt", b"x86_cpu_exec_interrupt_x86_64"),
    ("memory_mapping", b"find_memory_mapping_x86_64"),
    ("in_byte", b"cpu_inb_x86_64"),
    ("in_word", b"cpu_inw_x86_64"),
    ("in_long", b"cpu_inl_x86_64"),
    ("out_byte", b"cpu_outb_x86_64"),
    ("out_word", b"cpu_outw_x86_64"),
    ("out_long", b"cpu_outl_x86_64"),
    ("fetch_byte", b"cpu_ldub_code_x86_64"),
    ("emit_call", b"tcg_gen_callN_x86_64"),
    ("emit_exit", b"tcg_gen_exit_tb_x86_64"),
    ("check_exit_request", b"helper_check_exit_request_x86_64"),
    ("set_page", b"tlb_set_page_with_attrs_x86_64"),
    ("store_table_long", b"x86_stl_phys_notdirty_x86_64"),
)
cdef Library the_library
cdef bint loaded = False
cdef void *handle = NULL


def library_path():
    """Where the installed unicorn package keeps its library. Raises EngineError if it is not there."""
    spec = importlib.util.find_spec("unicorn")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(f"the unicorn package is not installed; {ADVICE}")
    package = Path(spec.submodule_search_locations[0])
    if not package.with_name(f"unicorn-{WANTED}.dist-info").is_dir():
        from importlib import metadata          # slow to import, and knows more kinds of installation

        found = metadata.version("unicorn")
        if found != WANTED:
            raise EngineError(f"unicorn {found} is installed; {ADVICE}")
    path = package / "lib" / "libunicorn.so.2"
    if not path.exists():
        raise EngineError(f"the unicorn package has no {path.name}; {ADVICE}")
    return path


cdef Library *load_library() except NULL:
    """Open the library once per process, resolve its symbols and install the abort guard."""
    global loaded, handle
    cdef void **fields = <void **> &the_library
    cdef void *symbol
    if loaded:
        return &the_library
    path = library_path()
    handle = dlopen(str(path).encode(), RTLD_LAZY | RTLD_LOCAL)
    if handle == NULL:
        raise EngineError(f"libunicorn does not load: {dlerror().decode()}; {ADVICE}")
    if sizeof(Library) != len(SYMBOLS) * sizeof(void *):
        raise AssertionError("library.pyx: SYMBOLS and struct Library differ")
    for index, (_, name) in enumerate(SYMBOLS):
        symbol = dlsym(handle, name)
        if symbol == NULL:
            raise EngineError(f"libunicorn exports no {name.decode()}: it is another build; {ADVICE}")
        fields[<int> index] = symbol
    if hp_install_guard(handle) < 2:
        raise EngineError(f"libunicorn cannot be guarded: it is another build, or this host forbids it; {ADVICE}")
    loaded = True
    return &the_library


cdef void *library_handle() noexcept:
    """What dlopen() gave, once load_library() was called."""
    return handle


cdef int redirect(bytes name, void *function) except -1:
    """Let the core call this in place of its own function of that name, process-wide."""
    if hp_redirect(handle, name, function) < 1:
        raise EngineError(f"libunicorn does not call {name.decode()} as expected: it is another build; {ADVICE}")
    return 0


cdef int redirect_call(str field, void *function) except -1:
    """Let the core call this in place of what a field of Library names, process-wide."""
    return redirect(dict(SYMBOLS)[field], function)


cdef int replace_helper(const char *name, void *function) except -1:
    """Make the core's function of this name a jump to another, process-wide."""
    cdef void *helper = dlsym(handle, name)
    if helper == NULL or not hp_replace(helper, function):
        raise EngineError(f"libunicorn's {name.decode()} cannot be replaced: it is another build, or this host forbids it; "
                          f"{ADVICE}")
    return 0


cdef inline void *pointer_at(void *base, int offset) noexcept:
    return (<void **> (<char *> base + offset))[0]


cdef inline int number_at(void *base, int offset) noexcept:
    return (<int *> (<char *> base + offset))[0]


cdef int check_layout(Library *library, void *uc) except -1:
    """Compare layout.pxi with a freshly opened engine: back pointers and class functions must be where we look."""
    cdef void *cpu = pointer_at(uc, UC_CPU)
    cdef void *env
    cdef void *cpu_class
    cdef void *tcg
    if cpu == NULL:
        raise EngineError(f"the private layout of libunicorn differs (no CPU); {ADVICE}")
    env = pointer_at(cpu, CPU_ENV_PTR)
    cpu_class = pointer_at(cpu, CPU_CLASS)
    tcg = pointer_at(uc, UC_TCG)
    checks = (
        ("memory_mapping", pointer_at(uc, UC_MEMORY_MAPPING) == <void *> library.memory_mapping),
        ("cpu->uc", pointer_at(cpu, CPU_UC) == uc),
        ("env", <char *> env == <char *> cpu + X86CPU_ENV),
        ("env->uc", env != NULL and pointer_at(env, ENV_UC) == uc),
        ("tlb_fill", cpu_class != NULL and pointer_at(cpu_class, CLASS_TLB_FILL) == <void *> library.tlb_fill),
        ("cpu_exec_interrupt", cpu_class != NULL
         and pointer_at(cpu_class, CLASS_CPU_EXEC_INTERRUPT) == <void *> library.exec_interrupt),
        ("tcg->uc", tcg != NULL and pointer_at(tcg, TCG_UC) == uc),
        ("tcg->nb_temps", tcg != NULL and number_at(tcg, TCG_NB_TEMPS) == number_at(tcg, TCG_NB_GLOBALS) == REGISTER_TEMPS),
    )
    for name, holds in checks:
        if not holds:
            raise EngineError(f"the private layout of libunicorn differs ({name}): it is another build; {ADVICE}")
    return 0


cdef int guarded_start(start_function start, void *uc, uint64_t begin) noexcept nogil:
    """uc_emu_start; -1 where the library gave up, with the reason in guard_reason()."""
    return hp_guarded_start(start, uc, begin)


cdef void guarded_close(Library *library, void *uc) noexcept nogil:
    """uc_close, also for a CPU inside of which the library gave up."""
    hp_guarded_close(library.close, uc)


cdef void redirect_invalid_tss(void (*function)(void *cpu) noexcept nogil) noexcept:
    """What to call where an inner ring is entered and TR holds no TSS; it must leave by an exception of the guest."""
    global hp_on_invalid_tss
    hp_on_invalid_tss = function


cdef str guard_reason():
    """Why the last guarded_start on this thread returned -1."""
    return hp_guard_reason.decode("ascii", "replace")
