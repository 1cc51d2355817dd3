# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the compiled core (every .pyx under src/) and the guest programs (guest/). The rest is in pyproject.toml."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SOURCES = sorted((ROOT / "src" / "hyperport").rglob("*.pyx"))

extensions = [
    Extension(
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts),
        [str(path.relative_to(ROOT))],
        extra_compile_args=["-O2", "-g0", "-Wall", "-Wextra"],
        include_dirs=[str(path.parent.relative_to(ROOT))],
        libraries=["dl"],
    )
    for path in SOURCES
]

setup(
    ext_modules=cythonize(
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
    )
)
