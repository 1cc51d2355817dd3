# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies of the installed libunicorn, changed to what another compiler or linker would have made of it."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

from hyperport.engines.unicorn.library import library_path

DT_PLTRELSZ, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_PLTREL, DT_DEBUG, DT_JMPREL = 2, 5, 6, 7, 8, 20, 21, 23
R_GLOB_DAT, R_JUMP_SLOT = 6, 7  # R_X86_64_*
PT_LOAD, PT_DYNAMIC, PF_X = 1, 2, 1
RELA: Final = struct.Struct("<QQq")
DYN: Final = struct.Struct("<QQ")


class Image:
    """A shared library as bytes. Addresses are relative to where it is loaded (System V ABI, ELF-64)."""

    def __init__(self) -> None:
        self.data = bytearray(library_path().read_bytes())
        table, count = struct.unpack_from("<Q", self.data, 32)[0], struct.unpack_from("<H", self.data, 56)[0]
        headers: list[tuple[int, ...]] = [
            struct.unpack_from("<IIQQQQQQ", self.data, table + 56 * n) for n in range(count)
        ]
        self.loads = [h for h in headers if h[0] == PT_LOAD]
        at, size = next((h[2], h[5]) for h in headers if h[0] == PT_DYNAMIC)
        self.entries = {DYN.unpack_from(self.data, n)[0]: n for n in range(at, at + size, DYN.size)}

    def dynamic(self, tag: int) -> int:
        """An entry of the dynamic section."""
        return int(DYN.unpack_from(self.data, self.entries[tag])[1])

    def set_dynamic(self, tag: int, new_tag: int, value: int) -> None:
        """Overwrite an entry."""
        DYN.pack_into(self.data, self.entries[tag], new_tag, value)

    def offset(self, address: int) -> int:
        """Where in the file an address is."""
        return next(address - h[3] + h[2] for h in self.loads if h[3] <= address < h[3] + h[5])

    def slots(self) -> dict[str, int]:
        """Address of each function's import slot, by name."""
        relocations, symbols, strings = (self.dynamic(tag) for tag in (DT_JMPREL, DT_SYMTAB, DT_STRTAB))
        found = {}
        for n in range(self.dynamic(DT_PLTRELSZ) // RELA.size):
            slot, info, _ = RELA.unpack_from(self.data, self.offset(relocations) + RELA.size * n)
            name = (
                self.offset(strings) + struct.unpack_from("<I", self.data, self.offset(symbols) + 24 * (info >> 32))[0]
            )
            found[self.data[name : self.data.index(0, name)].decode()] = slot
        return found

    def with_one_caller(self, function: str) -> int:
        """Let all calls of an imported function come from one new place; how many there were."""
        _, _, start, base, _, size, *_ = code = next(h for h in self.loads if h[1] & PF_X)
        slot = self.slots()[function]
        jumps = re.finditer(rb"\xff\x25", self.data[start : start + size])  # of the procedure linkage table
        stub = next(
            base + m.start()
            for m in jumps
            if base + m.start() + 6 + struct.unpack_from("<i", self.data, start + m.start() + 2)[0] == slot
        )
        there = base + size + 15 & ~15  # what the last page of code has left
        cave = self.data[start + there - base : start + there - base + 16]
        assert code[6] == size
        assert cave == bytes(16)
        sites = [
            m.start()
            for m in re.finditer(rb"\xe8", self.data[start : start + size - 4])
            if base + m.start() + 5 + struct.unpack_from("<i", self.data, start + m.start() + 1)[0] == stub
        ]
        for site in sites:
            struct.pack_into("<i", self.data, start + site + 1, there - (base + site + 5))
        call = b"\xe8" + struct.pack("<i", stub - (there + 9))
        trampoline = b"\x48\x83\xec\x08" + call + b"\x48\x83\xc4\x08\xc3"  # sub rsp, 8; call; add rsp, 8; ret
        self.data[start + there - base : start + there - base + len(trampoline)] = trampoline
        return len(sites)

    def without_import_slots(self) -> None:
        """As linked with -z now and compiled with -fno-plt: all addresses are in the table of data."""
        table, size = self.dynamic(DT_JMPREL), self.dynamic(DT_PLTRELSZ)
        assert table == self.dynamic(DT_RELA) + self.dynamic(DT_RELASZ)
        for n in range(size // RELA.size):
            at = self.offset(table) + RELA.size * n
            slot, info, addend = RELA.unpack_from(self.data, at)
            assert info & 0xFFFFFFFF == R_JUMP_SLOT
            RELA.pack_into(self.data, at, slot, info & ~0xFFFFFFFF | R_GLOB_DAT, addend)
        self.set_dynamic(DT_RELASZ, DT_RELASZ, self.dynamic(DT_RELASZ) + size)
        for tag in (DT_JMPREL, DT_PLTRELSZ, DT_PLTREL):
            self.set_dynamic(tag, DT_DEBUG, 0)


MAKE_A_MACHINE = """
import sys
from pathlib import Path
from hyperport.engines.unicorn import library
library.library_path = lambda: Path(sys.argv[1])
from hyperport.errors import EngineError
from hyperport.machine.machine import Machine
try:
    Machine(memory=1 << 20, engine="unicorn").close()
except EngineError as error:
    print("refused:", error)
else:
    print("taken")
"""


def verdict(image: Image, directory: Path) -> str:
    """What a process says that makes a machine with this library."""
    path = directory / "libunicorn.so.2"
    path.write_bytes(image.data)
    command = [sys.executable, "-c", MAKE_A_MACHINE, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert not result.stderr
    return result.stdout
