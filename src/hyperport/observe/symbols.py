# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of a guest's code: from an ELF file (with DWARF, lines too), a System.map, or a copy of /proc/kallsyms.

A symbol reaches to its size, or where a map gives none, to the next symbol. Of several at one address the first global
function's name is taken. Raises ConfigError for a file that is neither.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from hyperport.errors import ConfigError
from hyperport.host.files import open_to_read

ELF_MAGIC: Final = b"\x7fELF"
MAP_LINE: Final = re.compile(rb"([0-9a-fA-F]{8,16}) ([a-zA-Z]) (\S+)")
CODE_TYPES: Final = b"tTwW"  # of a map: text, and weak symbols
TOP: Final = 1 << 32
LAST_LENGTH: Final = 4096  # of the last symbol of a map

Symbol = tuple[int, int, str]  # first address, last address, name


class Symbols:
    """Functions by address. rows: (first, last, name), which may overlap; lines: (address, path, line), by address."""

    def __init__(self, rows: Iterable[Symbol], lines: Sequence[tuple[int, str, int]] = ()) -> None:
        by_begin: dict[int, Symbol] = {}
        for first, last, name in rows:
            if first not in by_begin:
                by_begin[first] = (first, last, name)
        self.rows = sorted(by_begin.values())
        self._begins = [first for first, _, _ in self.rows]
        self.lines = list(lines)
        self._lines_begin = [address for address, _, _ in self.lines]

    def find(self, address: int) -> Symbol | None:
        """The symbol that holds address, or None."""
        at = bisect_right(self._begins, address) - 1
        if at < 0 or address > self.rows[at][1]:
            return None
        return self.rows[at]

    def name(self, address: int) -> str:
        """The function's name; "" if there is none."""
        found = self.find(address)
        return "" if found is None else found[2]

    def told(self, address: int) -> str:
        """name+0x12, or "" if there is none."""
        found = self.find(address)
        return "" if found is None else f"{found[2]}+{address - found[0]:#x}"

    def line(self, address: int) -> str:
        """file:line of the code at address; "" where that is not known."""
        path, line = self.place(address)
        return f"{Path(path).name}:{line}" if line else ""

    def place(self, address: int) -> tuple[str, int]:
        """Path and line of the code at address; line 0 where that is not known."""
        at = bisect_right(self._lines_begin, address) - 1
        return ("", 0) if at < 0 else self.lines[at][1:]

    def head(self, address: int) -> tuple[str, int]:
        """As place(), of a function that begins at address: not of its first statement."""
        at = bisect_left(self._lines_begin, address)
        while at < len(self.lines) and self.lines[at][0] == address:
            if self.lines[at][2]:
                return self.lines[at][1:]
            at += 1
        return self.place(address)

    def functions(self, pattern: str) -> list[tuple[int, int]]:
        """First and last address of each function with that name, in which * and ? stand for any."""
        return [(first, last) for first, last, name in self.rows if fnmatchcase(name, pattern)]


def load_symbols(files: Sequence[Path | str], kernel: Path | str | None = None) -> Symbols | None:
    """The symbols of files; without any, those of the kernel if it is an ELF file. None: there are none."""
    rows: list[Symbol] = []
    lines: list[tuple[int, str, int]] = []
    found = Path(kernel) if kernel is not None else None
    for file in [Path(file) for file in files] or ([found] if found is not None and _is_elf(found) else []):
        more, its_lines = _elf(file) if _is_elf(file) else (_map(file), [])
        if not more and files:
            raise ConfigError(f"symbols: {file}: there are none in it")
        rows += more
        lines += its_lines
    lines.sort(key=lambda row: (row[0], row[2] != 0))  # of several at one place the last counts
    return Symbols(rows, lines) if rows else None


def _is_elf(path: Path) -> bool:
    try:
        with open_to_read(path) as file:
            return file.read(4) == ELF_MAGIC
    except OSError as error:
        raise ConfigError(f"symbols: {path}: {error.strerror or error}") from error


def _map(path: Path) -> list[Symbol]:
    """The code symbols of a System.map or of /proc/kallsyms."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"symbols: {path}: {error.strerror or error}") from error
    found = [(int(row[1], 16), row[2], row[3].decode("utf-8", "replace")) for row in MAP_LINE.finditer(text)]
    if not found:
        raise ConfigError(f"symbols: {path}: neither an ELF file nor lines like `c0100000 T _text`")
    if all(address == 0 for address, _, _ in found):
        raise ConfigError(f"symbols: {path}: all addresses are 0: copy /proc/kallsyms as root, with kptr_restrict 0")
    found = sorted((row for row in found if row[0] < TOP), key=lambda row: (row[0], not row[1].isupper()))
    begins = sorted({address for address, _, _ in found})
    following = dict(zip(begins, [*begins[1:], begins[-1] + LAST_LENGTH], strict=True))
    return [(address, following[address] - 1, name) for address, kind, name in found if kind in CODE_TYPES]


def _elf(path: Path) -> tuple[list[Symbol], list[tuple[int, str, int]]]:
    """The functions of an ELF file, and its lines."""
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            rows = [row for section in elf.iter_sections("SHT_SYMTAB") for row in _functions(elf, section)]
            return rows, _lines(elf) if elf.has_dwarf_info() else []
    except Exception as error:  # in a damaged file elftools trips over anything: TypeError, AssertionError, ...
        why = f"{error}".partition("\n")[0][:200] or type(error).__name__
        raise ConfigError(f"symbols: {path}: its symbols cannot be read: {why}") from error


def _functions(elf: Any, table: Any) -> list[Symbol]:
    """Global functions first, then local ones, then code labels without a type, as assembly has them."""
    from elftools.elf.constants import SH_FLAGS

    code = {
        number for number, section in enumerate(elf.iter_sections()) if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
    }
    kinds = ("STT_FUNC", "STT_NOTYPE")
    found = []
    for symbol in table.iter_symbols():
        kind, where = symbol["st_info"]["type"], symbol["st_shndx"]
        if kind in kinds and symbol.name and where in code:
            rank = kinds.index(kind) * 2 + (symbol["st_info"]["bind"] != "STB_GLOBAL")
            found.append((rank, symbol["st_value"], symbol["st_size"], symbol.name))
    begins = sorted({address for _, address, _, _ in found})
    following = dict(zip(begins, [*begins[1:], (begins[-1] if begins else 0) + LAST_LENGTH], strict=True))
    return [
        (address, address + size - 1 if size else following[address] - 1, name)
        for _, address, size, name in sorted(found)
        if address < TOP
    ]


def _lines(elf: Any) -> list[tuple[int, str, int]]:
    """Rows of DWARF's line tables; line 0 where a sequence ends."""
    found = []
    info = elf.get_dwarf_info()
    for unit in info.iter_CUs():
        program = info.line_program_for_CU(unit)
        if program is None:
            continue
        paths = _paths(unit, program)
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            path = paths[state.file] if state.file < len(paths) else "?"
            found.append((state.address, path, 0 if state.end_sequence else state.line))
    return found


def _paths(unit: Any, program: Any) -> list[str]:
    """The files of a line program by their numbers, which begin with 0 since DWARF 5, and with 1 before."""
    old = program["version"] < 5
    built_in = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
    home = b"" if built_in is None else built_in.value
    folders = [home, *program["include_directory"]] if old else list(program["include_directory"])
    files = [
        (folders[file.dir_index] if file.dir_index < len(folders) else home, file.name)
        for file in program["file_entry"]
    ]
    paths = [os.path.normpath(os.path.join(home, folder, name)) for folder, name in files]  # noqa: PTH118 - bytes
    return ["?"] * old + [path.decode("utf-8", "replace") for path in paths]
