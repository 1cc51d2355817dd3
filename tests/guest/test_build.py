# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest programs as the build leaves them: present, 32-bit, loadable by a multiboot loader, complete."""

import struct
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
BIN: Final = ROOT / "src" / "hyperport" / "guests" / "bin"
PROGRAMS: Final = sorted(
    path.stem for folder in ("programs", "workloads") for path in (ROOT / "guest" / folder).glob("*.c")
)

# ELF-32 (System V ABI, chapter 4) and multiboot 1 (specification 0.6.96, 3.1) constants.
EM_386: Final = 3
ET_EXEC: Final = 2
PT_LOAD: Final = 1
SHT_SYMTAB: Final = 2
SHN_UNDEF: Final = 0
MULTIBOOT_MAGIC: Final = 0x1BADB002
MULTIBOOT_SEARCH: Final = 8192
LOW: Final = 0x100000  # where start-up code expects to be
HIGH: Final = 0x400000  # what the programs' own page tables map


class Segment(NamedTuple):
    """One program header, in the file's order."""

    type: int
    offset: int
    virtual: int
    physical: int
    file_size: int
    memory_size: int
    flags: int
    align: int


class Section(NamedTuple):
    """One section header, in the file's order."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int


class Image:
    """As much of an ELF-32 file as these tests ask about."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.ident = data[:16]
        fields = struct.unpack_from("<HHIIIIIHHHHHH", data, 16)
        self.type, self.machine, _, self.entry, segments_at, sections_at = fields[:6]
        segment_size, segment_count, section_size, section_count = fields[8:12]
        self.segments = [
            Segment(*struct.unpack_from("<8I", data, segments_at + i * segment_size)) for i in range(segment_count)
        ]
        self.sections = [
            Section(*struct.unpack_from("<10I", data, sections_at + i * section_size)) for i in range(section_count)
        ]

    def undefined_symbols(self) -> list[str]:
        """Names that nothing in the image defines."""
        names = []
        for table in (section for section in self.sections if section.type == SHT_SYMTAB):
            strings = self.sections[table.link].offset
            for at in range(table.offset + 16, table.offset + table.size, 16):  # entry 0 is empty by definition
                name, _value, _size, _info, _other, section = struct.unpack_from("<IIIBBH", self.data, at)
                if section == SHN_UNDEF:
                    start = strings + name
                    names.append(self.data[start : self.data.index(0, start)].decode())
        return names


def load(name: str) -> Image:
    return Image((BIN / f"{name}.elf").read_bytes())


def test_there_are_programs() -> None:
    assert {"demo", "stress", "faults", "portbench", "outcome", "echo", "devtest", "vmiguest", "mix"} <= set(PROGRAMS)


def test_nothing_stale_is_shipped() -> None:
    flat = {f"{path.stem}.bin" for path in (ROOT / "guest" / "programs").glob("*.S")}
    inline = {f"{path.stem}-inline.elf" for path in (ROOT / "guest" / "workloads").glob("*.c")}
    assert {path.name for path in BIN.iterdir()} == flat | inline | {f"{name}.elf" for name in PROGRAMS}


@pytest.mark.parametrize("name", PROGRAMS)
def test_is_an_i386_executable(name: str) -> None:
    image = load(name)
    assert image.ident[:7] == b"\x7fELF\x01\x01\x01"
    assert (image.type, image.machine) == (ET_EXEC, EM_386)


@pytest.mark.parametrize("name", PROGRAMS)
def test_has_one_valid_multiboot_header(name: str) -> None:
    head = load(name).data[:MULTIBOOT_SEARCH]
    words = [struct.unpack_from("<3I", head, at) for at in range(0, len(head) - 11, 4)]
    assert [sum(header) & 0xFFFFFFFF for header in words if header[0] == MULTIBOOT_MAGIC].count(0) == 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_is_loaded_between_1_and_4_mib(name: str) -> None:
    image = load(name)
    loads = [segment for segment in image.segments if segment.type == PT_LOAD]
    assert loads
    for segment in loads:
        assert segment.virtual == segment.physical
        assert segment.physical >= LOW
        assert segment.physical + segment.memory_size <= HIGH
        assert segment.offset + segment.file_size <= len(image.data)
    assert any(segment.virtual <= image.entry < segment.virtual + segment.file_size for segment in loads)


@pytest.mark.parametrize("name", PROGRAMS)
def test_has_no_undefined_symbols(name: str) -> None:
    assert load(name).undefined_symbols() == []


def test_flat_image_is_a_boot_sector() -> None:
    image = (BIN / "realmode.bin").read_bytes()
    assert len(image) == 512
    assert image[-2:] == b"\x55\xaa"
