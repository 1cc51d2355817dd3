# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the compiled core (every .pyx under src/) and the guest programs (guest/). The rest is in pyproject.toml.

A file is made again when the content of something that it was made of has changed: times of files are not looked at.
What each one was made of is noted in build/. So a module is compiled once for a checkout, however it is asked for:
`pip install -e .`, `pip install .`, a wheel or `build_ext --inplace` (which `make build` calls). See
docs/decisions/0018-build-backend.md.
"""

import copy
import filecmp
import functools
import hashlib
import importlib.metadata
import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from Cython.Build.Dependencies import create_dependency_tree
from Cython.Compiler.Main import Context
from Cython.Compiler.Options import CompilationOptions
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PACKAGE = Path("src", "hyperport")  # as all names of files below: seen from ROOT, where pip and make call this
JOBS = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1

LIMITED_API = any(word.startswith("--py-limited-api") for word in sys.argv)  # of bdist_wheel, for all Pythons
CORE_BUILD = Path("build", "abi3" if LIMITED_API else sysconfig.get_config_var("SOABI"))  # C, objects, libraries, notes
CORE_C = CORE_BUILD / "c"
SHARED = "hyperport._cython"  # what Cython would put into each module again
CORE_FLAGS = [
    *("-O2", "-g0", "-Wall", "-Wextra"),
    "-MMD",  # the headers that were read, beside the object
    *(("-DPy_LIMITED_API=0x030b0000", "-Wno-unused-parameter") if LIMITED_API else ()),  # Cython's have such parameters
]
MORE_FLAGS = {  # of a module: the way of an access is inline as far as the device, also with counters by site
    "hyperport.engines.unicorn.ports": ["--param=max-inline-insns-single=400"],
}
CYTHON_OPTIONS = {
    "include_path": ["src"],
    "shared_utility_qualified_name": SHARED,
    "compiler_directives": {
        "language_level": 3,
        "boundscheck": False,
        "wraparound": False,
        "cdivision": True,
        "initializedcheck": False,
        "embedsignature": True,
        "auto_pickle": False,  # a record (save, load) is how a chip is kept
        "binding": False,  # functions are builtins, which take less C
    },
}

GUEST = Path("guest")
GUEST_BUILD = Path("build", "guest")
GUEST_BIN = PACKAGE / "guests" / "bin"
ROM_SOURCE = GUEST / "rom" / "vmi.S"
ROM_BIN = PACKAGE / "abi" / "vmi.bin"
HANDLERS_SOURCE = GUEST / "rom" / "handlers.S"
HANDLERS_BIN = PACKAGE / "boot" / "handlers.bin"
TOOLCHAIN = runpy.run_path(str(PACKAGE / "guests" / "toolchain.py"))
GUEST_CC = TOOLCHAIN["compiler"]()
GUEST_CFLAGS = [*TOOLCHAIN["CODE_FLAGS"], *TOOLCHAIN["WARNING_FLAGS"], "-Werror"]
UNSUPPORTED = runpy.run_path(str(PACKAGE / "supported_host.py"))["unsupported"]()
SDK_FOLDERS = ("include", "lib", "sdk")  # of guest/: for who builds guest programs with an installed hyperport


@functools.cache
def content(path: Path) -> str:
    """The checksum of a file; of no file, a word that is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def fingerprint(how: object, files: Iterable[Path]) -> str:
    """What stands for a way to make something and for all that it is made of."""
    made_of = [how, [(str(path), content(path)) for path in sorted(files)]]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


@functools.cache
def version(command: str) -> str:
    """What a compiler says of itself; of none, an empty text."""
    try:
        return subprocess.run([*command.split(), "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


# --- Guest programs ---


def run_guest_compiler(arguments: list[str]) -> None:
    """One call of the compiler, the source first; its own messages stay on stderr."""
    result = subprocess.run([GUEST_CC, *GUEST_CFLAGS, *arguments], check=False)
    if result.returncode:
        raise RuntimeError(f"{GUEST_CC} failed on {arguments[0]} (see above)")


def check_guest_compiler() -> None:
    """Ends with one line if there is no compiler for i386."""
    probe = [GUEST_CC, "-m32", "-ffreestanding", "-x", "c", "-c", "-o", os.devnull, "-"]
    try:
        result = subprocess.run(probe, input=b"int probe;", capture_output=True, check=False)
    except OSError as error:
        sys.exit(f"error: guest programs need a C compiler: {error}: install gcc or name one in GUEST_CC")
    if result.returncode:
        reason = (result.stderr.decode(errors="replace").strip().splitlines() or ["it failed"])[0]
        sys.exit(f"error: guest programs need `{GUEST_CC} -m32`: {reason}: install gcc for x86 or name one in GUEST_CC")


def make_for_guest(jobs: dict[Path, tuple[list[str], Path, Iterable[Path]]]) -> None:
    """Makes what is stale of {target: (arguments, source, the other files it is made of)}."""
    keys = {
        target: fingerprint([GUEST_CC, version(GUEST_CC), GUEST_CFLAGS, "source first", arguments], [source, *others])
        for target, (arguments, source, others) in jobs.items()
    }
    notes = {target: GUEST_BUILD / f"{target.name}.note" for target in jobs}
    stale = [
        target
        for target, note in notes.items()
        if not (target.is_file() and note.is_file() and note.read_text() == keys[target])
    ]
    if not stale:
        return
    check_guest_compiler()
    GUEST_BUILD.mkdir(parents=True, exist_ok=True)

    def make(target: Path) -> None:
        arguments, source, _ = jobs[target]
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        run_guest_compiler(
            [str(source), *arguments, "-o", str(part)]
        )  # so its code is where the library does not move it
        part.chmod(0o644)
        part.replace(target)
        notes[target].write_text(keys[target])

    with ThreadPoolExecutor(JOBS) as pool:
        try:
            list(pool.map(make, stale))
        except RuntimeError as error:
            pool.shutdown(cancel_futures=True)
            sys.exit(f"error: {error}")


def build_guests() -> None:
    """Links each program to bin/NAME.elf, with the guest library and the SDK, or to a flat image bin/NAME.bin.

    Programs are guest/programs/NAME.c and guest/workloads/NAME.c; flat images are guest/programs/NAME.S. The VMI option
    ROM and the handlers of interrupts are flat from offset 0. NAME-inline.elf is a workload whose accessors look in
    place whether a crossing is needed.
    """
    library, sdk, harness = GUEST / "lib", GUEST / "sdk", GUEST / "workloads" / "harness"
    headers = [path for folder in (library, harness, GUEST / "include") for path in folder.rglob("*.h")]
    script = library / "link.ld"
    compile_flags = [*(f"-I{folder}" for folder in (library, GUEST / "include", harness)), "-ffunction-sections"]
    parts = {
        folder: {GUEST_BUILD / f"{folder.name}-{path.name}.o": path for path in sorted(folder.glob("*.[cS]"))}
        for folder in (library, sdk, harness)
    }
    make_for_guest(
        {part: ([*compile_flags, "-c"], path, headers) for folder in parts.values() for part, path in folder.items()}
    )
    jobs: dict[Path, tuple[list[str], Path, Iterable[Path]]] = {}
    for path in (*(GUEST / "programs").glob("*.c"), *(GUEST / "workloads").glob("*.c")):
        linked = [*parts[library], *parts[sdk], *(parts[harness] if path.parent.name == "workloads" else ())]
        link = [*compile_flags, f"-Wl,-T,{script},--gc-sections", *map(str, linked)]
        jobs[GUEST_BIN / f"{path.stem}.elf"] = (link, path, [*headers, *linked, script])
        if path.parent.name == "workloads":
            inline = [*link, "-DHYPERPORT_IO_INLINE"]
            jobs[GUEST_BIN / f"{path.stem}-inline.elf"] = (inline, path, [*headers, *linked, script])
    for path in (GUEST / "programs").glob("*.S"):
        jobs[GUEST_BIN / f"{path.stem}.bin"] = (["-Wl,--oformat=binary,-Ttext=0x7c00"], path, [])
    rom = ["-I", str(GUEST / "include"), "-Wl,--oformat=binary,-Ttext=0"]
    make_for_guest(jobs | {ROM_BIN: (rom, ROM_SOURCE, headers), HANDLERS_BIN: (rom, HANDLERS_SOURCE, [])})
    for path in set(GUEST_BIN.iterdir()) - set(jobs):
        path.unlink()


class BuildPy(build_py):  # type: ignore[misc]
    """build_py that makes the guest programs and the ROM first: they are package data. A wheel gets the SDK too."""

    def run(self) -> None:  # noqa: D102
        if UNSUPPORTED:
            sys.exit(f"error: {UNSUPPORTED}")
        build_guests()
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)  # what an earlier build left there would be shipped
        super().run()
        if not self.editable_mode:
            for folder in SDK_FOLDERS:
                packaged = Path(self.build_lib) / "hyperport" / "guests" / "sdk" / folder
                shutil.copytree(GUEST / folder, packaged, dirs_exist_ok=True)


# --- The compiled core ---


def source_of(name: str) -> Path:
    """The .pyx of a module; of SHARED, a name that no file has."""
    return Path("src", *name.split(".")).with_suffix(".pyx" if name != SHARED else ".c")


def cython_options() -> dict[str, Any]:
    """CYTHON_OPTIONS, for Cython to write into."""
    return copy.deepcopy(CYTHON_OPTIONS)


def names_of(*kinds: str) -> list[str]:
    """The names of all files of the package that end so."""
    return sorted(str(path) for kind in kinds for path in PACKAGE.rglob(f"*.{kind}"))


def cython_depends(name: str) -> list[str]:
    """The files of this tree that Cython reads for a module."""
    if name == SHARED:
        return []
    context = Context.from_options(CompilationOptions(**cython_options()))  # type: ignore[no-untyped-call]
    tree = create_dependency_tree(context, quiet=True)  # type: ignore[no-untyped-call]
    found = {Path(os.path.relpath(path)) for path in tree.all_dependencies(str(source_of(name)))}
    return sorted(str(path) for path in found if path.is_relative_to("src"))


def read_headers(name: str) -> list[str]:
    """The headers of this tree that the C compiler read for a module, from the list that it wrote beside the object."""
    listed = (CORE_BUILD / CORE_C / source_of(name)).with_suffix(".d").read_text().replace("\\\n", " ").split()
    found = {Path(os.path.normpath(path)) for path in listed if path.endswith(".h")}
    return sorted(str(path) for path in found if path.is_relative_to("src"))


class Note:
    """What a module was made of, in a file of build/."""

    def __init__(self, name: str, library: Path, how: object) -> None:
        self.name = name
        self.library = library
        self.how = how
        self.path = CORE_BUILD / "notes" / f"{name}.json"

    def is_true(self, tree: str) -> bool:
        """Whether the library is there and would be the same if made again; tree stands for all sources' names."""
        if not (self.path.is_file() and self.library.is_file()):
            return False
        said = json.loads(self.path.read_text())
        if said["key"] != fingerprint(self.how, map(Path, (*said["cython"], *said["headers"]))):
            return False
        if said["tree"] != tree:  # files came or went; do they matter here?
            if said["cython"] != cython_depends(self.name):
                return False
            self.path.write_text(json.dumps(said | {"tree": tree}))
        return True

    def write(self, tree: str) -> None:
        """The library has just been linked."""
        cython, headers = cython_depends(self.name), read_headers(self.name)
        key = fingerprint(self.how, map(Path, (*cython, *headers)))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"tree": tree, "key": key, "cython": cython, "headers": headers}))


def put(source: Path, target: Path) -> None:
    """Copies a file where it differs. A process that runs on the old one keeps it."""
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    shutil.copy(source, part)
    part.replace(target)


def remove_strays(wanted: set[Path]) -> None:
    """Removes libraries in the tree that Python could load in place of a wanted one, or whose source is gone."""
    for path in PACKAGE.rglob("*.so"):
        module = path.name.partition(".")[0]
        loadable = path.name.removeprefix(module) in EXTENSION_SUFFIXES
        if path not in wanted and (loadable or not path.with_name(f"{module}.pyx").exists()):
            path.unlink()
    for path in PACKAGE.rglob("*.c"):  # Cython leaves them beside the sources when it is called by hand
        if path.read_bytes().startswith(b"/* Generated by Cython"):
            path.unlink()


class BuildExt(build_ext):  # type: ignore[misc]
    """build_ext that compiles what is stale, in build/ and in parallel, and puts copies where they are asked for.

    It makes the guest programs and the ROM too: `build_ext --inplace` runs no build_py.
    """

    extensions: list[Extension]
    inplace: bool
    build_lib: str

    def finalize_options(self) -> None:  # noqa: D102
        super().finalize_options()
        self.parallel = JOBS
        self.build_temp = str(CORE_BUILD)

    def run(self) -> None:  # noqa: D102
        if UNSUPPORTED:
            sys.exit(f"error: {UNSUPPORTED}")
        build_guests()
        tree, headers = fingerprint(names_of("pyx", "pxd", "pxi"), []), names_of("h")
        variables = [os.environ.get(name) for name in ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")]
        compiler = version(os.environ.get("CC") or sysconfig.get_config_var("CC"))
        how = [
            CORE_FLAGS,
            MORE_FLAGS,
            CYTHON_OPTIONS,
            importlib.metadata.version("cython"),
            sys.version,
            variables,
            compiler,
            headers,
        ]
        wanted = {ext.name: Path(os.path.relpath(self.get_ext_fullpath(ext.name))) for ext in self.extensions}

        place, self.inplace, self.build_lib = (self.inplace, self.build_lib), False, str(CORE_BUILD / "lib")
        self.notes = {ext.name: Note(ext.name, Path(self.get_ext_fullpath(ext.name)), how) for ext in self.extensions}
        self.tree = tree
        everything = self.extensions
        stale = [ext for ext in everything if self.force or not self.notes[ext.name].is_true(tree)]
        if stale:
            self.compile(stale)
        self.extensions = everything
        self.inplace, self.build_lib = place

        for name, target in wanted.items():
            put(self.notes[name].library, target)
        if self.inplace:
            remove_strays(set(wanted.values()))

    def compile(self, stale: list[Extension]) -> None:
        """Makes C of them, then libraries."""
        for ext in stale:
            self.notes[ext.name].path.unlink(missing_ok=True)
            self.notes[ext.name].library.unlink(missing_ok=True)
        threads = JOBS if len(stale) > 4 else 0  # a process of Cython starts in the time that it needs for four modules
        options = cython_options() | {"force": True, "quiet": True, "nthreads": threads, "build_dir": str(CORE_C)}
        for ext, made in zip(stale, cythonize(stale, **options), strict=True):  # type: ignore[no-untyped-call]
            ext.sources = made.sources
        for header in CORE_C.rglob("*.h"):  # copies by Cython: the compiler is to read, and to list, the originals
            header.unlink()
        self.extensions = stale
        super().run()

    def build_extensions(self) -> None:  # noqa: D102
        words = self.compiler.linker_so  # Python's own; its folder of libraries has no business in a wheel
        self.compiler.linker_so = [word for word in words if not word.startswith(("-L", "-Wl,-rpath"))]
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:  # noqa: D102
        super().build_extension(ext)
        self.notes[ext.name].write(self.tree)

    def get_source_files(self) -> list[str]:
        """None: MANIFEST.in names them, and SHARED has no file."""
        return []


SHARED_HEADERS = (
    *(Path("src/hyperport") / folder for folder in ("engines/shared", "memory", "time")),
    Path("guest/include"),  # numbers that a guest also knows
)


def extension(name: str) -> Extension:
    """How a module is compiled."""
    source = source_of(name)
    return Extension(
        name,
        [str(source)],
        extra_compile_args=[*CORE_FLAGS, *MORE_FLAGS.get(name, ())],
        include_dirs=[str(source.parent), *map(str, SHARED_HEADERS)],
        libraries=["dl"],
        py_limited_api=LIMITED_API,
    )


names = [".".join(Path(name).relative_to("src").with_suffix("").parts) for name in names_of("pyx")]
setup(cmdclass={"build_py": BuildPy, "build_ext": BuildExt}, ext_modules=[extension(name) for name in (SHARED, *names)])
