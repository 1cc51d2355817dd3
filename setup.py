# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the compiled core (every .pyx under src/) and the guest programs (guest/). The rest is in pyproject.toml."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SOURCES = sorted((ROOT / "src" / "hyperport").rglob("*.pyx"))

GUEST = ROOT / "guest"
GUEST_BIN = ROOT / "src" / "hyperport" / "guests" / "bin"
ROM_SOURCE = GUEST / "rom" / "vmi.S"
ROM_BIN = ROOT / "src" / "hyperport" / "abi" / "vmi.bin"
TOOLCHAIN_FILE = ROOT / "src" / "hyperport" / "guests" / "toolchain.py"
TOOLCHAIN = runpy.run_path(str(TOOLCHAIN_FILE))
GUEST_CC = TOOLCHAIN["compiler"]()
GUEST_CFLAGS = [*TOOLCHAIN["CODE_FLAGS"], *TOOLCHAIN["WARNING_FLAGS"], "-Werror"]
SDK_FOLDERS = ("include", "lib", "sdk")  # of guest/: for who builds guest programs with an installed hyperport


def run_guest_compiler(arguments: list[str]) -> None:
    """One call of the compiler; its own messages stay on stderr."""
    result = subprocess.run([GUEST_CC, *GUEST_CFLAGS, *arguments], check=False)
    if result.returncode:
        sys.exit(f"error: {GUEST_CC} failed on {arguments[-1]} (see above)")


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


def build_guests() -> None:
    """Links each program to bin/NAME.elf, with the guest library and the SDK, or to a flat image bin/NAME.bin.

    Programs are guest/programs/NAME.c and guest/workloads/NAME.c; flat images are guest/programs/NAME.S.
    """
    folders = [GUEST / "lib", GUEST / "sdk", GUEST / "workloads" / "harness"]
    library, sdk, harness = ([*sorted(folder.glob("*.S")), *sorted(folder.glob("*.c"))] for folder in folders)
    include = [f"-I{folder}" for folder in (GUEST / "lib", GUEST / "include", GUEST / "workloads" / "harness")]
    script = GUEST / "lib" / "link.ld"
    common = [path for folder in (*folders, GUEST / "include" / "hyperport") for path in folder.iterdir()]
    newest = max(path.stat().st_mtime for path in (*common, ROOT / "setup.py", TOOLCHAIN_FILE))
    programs = [*sorted((GUEST / "programs").glob("*.[cS]")), *sorted((GUEST / "workloads").glob("*.c"))]
    targets = {path: GUEST_BIN / f"{path.stem}{'.elf' if path.suffix == '.c' else '.bin'}" for path in programs}
    stale = {
        path: target
        for path, target in targets.items()
        if not target.exists() or target.stat().st_mtime <= max(newest, path.stat().st_mtime)
    }
    if not stale:
        return
    check_guest_compiler()
    GUEST_BIN.mkdir(parents=True, exist_ok=True)
    for path, target in stale.items():
        part = target.with_suffix(".part")
        if path.suffix == ".c":
            parts = [*library, *sdk, *(harness if path.parent.name == "workloads" else [])]
            link = [*include, "-ffunction-sections", f"-Wl,-T,{script},--gc-sections", *map(str, parts)]
        else:
            link = ["-Wl,--oformat=binary,-Ttext=0x7c00"]
        run_guest_compiler([*link, "-o", str(part), str(path)])
        part.replace(target)


def build_rom() -> None:
    """Assembles the code of the VMI option ROM, flat from offset 0."""
    include = GUEST / "include"
    newest = max(
        path.stat().st_mtime for path in (ROM_SOURCE, *include.rglob("*.h"), ROOT / "setup.py", TOOLCHAIN_FILE)
    )
    if ROM_BIN.exists() and ROM_BIN.stat().st_mtime > newest:
        return
    check_guest_compiler()
    part = ROM_BIN.with_suffix(".part")
    flat = "-Wl,--oformat=binary,-Ttext=0"
    run_guest_compiler(["-I", str(include), flat, "-o", str(part), str(ROM_SOURCE)])
    part.chmod(0o644)
    part.replace(ROM_BIN)


class BuildPy(build_py):  # type: ignore[misc]
    """build_py that makes the guest programs and the ROM first: they are package data. A wheel gets the SDK too."""

    def run(self) -> None:  # noqa: D102
        build_guests()
        build_rom()
        super().run()
        if not self.editable_mode:
            for folder in SDK_FOLDERS:
                packaged = Path(self.build_lib) / "hyperport" / "guests" / "sdk" / folder
                shutil.copytree(GUEST / folder, packaged, dirs_exist_ok=True)


class BuildExt(build_ext):  # type: ignore[misc]
    """build_ext that makes the guest programs and the ROM too: `build_ext --inplace` runs no build_py."""

    def run(self) -> None:  # noqa: D102
        build_guests()
        build_rom()
        super().run()


extensions = [
    Extension(
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts),
        [str(path.relative_to(ROOT))],
        extra_compile_args=["-O2", "-g0", "-Wall", "-Wextra"],
        include_dirs=[str(path.parent.relative_to(ROOT)), "src/hyperport/engines/shared"],
        libraries=["dl"],
    )
    for path in SOURCES
]

setup(
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
    ext_modules=cythonize(  # type: ignore[no-untyped-call]
        extensions,
        include_path=["src"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
    ),
)
