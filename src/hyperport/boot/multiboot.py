# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels by the Multiboot specification, version 0.6.96 (Multiboot 1): ELF32 files, and others by load addresses."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hyperport.boot import e820
from hyperport.boot.layout import CODE_SELECTOR, DATA_SELECTOR, PAGE, Layout, encode_text, read_file
from hyperport.cpu.state import CpuState, protected_flat
from hyperport.errors import ImageError
from hyperport.memory.ram import GuestMemory

# Multiboot header (3.1.1), in the first 8 KiB, at a multiple of 4.
MAGIC: Final = 0x1BADB002
SEARCH: Final = 8192
ALIGN_MODULES: Final = 1 << 0  # modules begin at pages; they always do here
MEMORY_INFO: Final = 1 << 1  # mem_* fields, which are always there
MANDATORY: Final = 0xFFFF  # a loader that does not know one of these bits must not load
ADDRESSES: Final = 1 << 16  # the header says where the image goes (the "a.out kludge")

# What the kernel is told (3.2, 3.3).
BOOT_MAGIC: Final = 0x2BADB002  # in EAX
INFO_SIZE: Final = 116
INFO_MEMORY: Final = 1 << 0  # mem_lower, mem_upper
INFO_COMMAND_LINE: Final = 1 << 2
INFO_MODULES: Final = 1 << 3
INFO_MEMORY_MAP: Final = 1 << 6
INFO_LOADER_NAME: Final = 1 << 9
LOADER_NAME: Final = b"hyperport\0"
TEXT_LIMIT: Final = 0xFFFF  # bytes of a command line or a module's string
MODULES_LIMIT: Final = 256
SEGMENTS_LIMIT: Final = 128  # loadable segments of an ELF file

# ELF (System V ABI, chapter 4 and 5; i386 supplement).
ELF_MAGIC: Final = b"\x7fELF"
ELF_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
PROGRAM_HEADER: Final = struct.Struct("<8I")
ELFCLASS32: Final = 1
ELFDATA2LSB: Final = 1
ET_REL: Final = 1
EM_386: Final = 3
PT_LOAD: Final = 1


@dataclass(frozen=True, slots=True)
class Header:
    """A Multiboot header. offset is its place in the file; the addresses are there if flags has ADDRESSES."""

    offset: int
    flags: int
    header_addr: int
    load_addr: int
    load_end_addr: int
    bss_end_addr: int
    entry_addr: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes of the file for a physical address; size is what they take with the zeros after them."""

    address: int
    data: bytes
    size: int


def find_header(image: bytes) -> Header | None:
    """The first header whose three words add up to 0; None if there is none."""
    head = image[:SEARCH]
    for offset in range(0, len(head) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<3I", head, offset)
        if magic == MAGIC and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            addresses = head[offset + 12 : offset + 32].ljust(20, b"\0")
            return Header(offset, flags, *struct.unpack("<5I", addresses))
    return None


def load_multiboot(
    memory: GuestMemory, image: Path | str, *, append: str = "", modules: Sequence[tuple[Path | str, str]] = ()
) -> CpuState:
    """Put a Multiboot kernel and its modules into RAM; the processor's state at the kernel's entry.

    memory is as at power-on, all zeros: what a segment has beyond its bytes in the file is not written again.
    The kernel's command line is the image's name and append, as GRUB and qemu give it; each module is a file and its
    string. Raises ImageError, one line, if the image is malformed or something does not fit.
    """
    content = read_file(image, "kernel", memory.size)
    name = f"kernel {image}"
    header = find_header(content)
    if header is None:
        from hyperport.boot.naming import describe

        raise ImageError(f"{name}: no Multiboot header in its first {SEARCH} bytes: {describe(content, len(content))}")
    if unknown := header.flags & MANDATORY & ~(ALIGN_MODULES | MEMORY_INFO):
        raise ImageError(f"{name}: its header asks for flags {unknown:#x}, which this PC cannot give; clear them")
    if len(modules) > MODULES_LIMIT:
        raise ImageError(f"{name}: {len(modules)} modules, the limit is {MODULES_LIMIT}; give fewer")

    segments, entry = by_addresses(content, header, name) if header.flags & ADDRESSES else by_elf(content, name)
    layout = Layout(memory)
    for segment in segments:
        layout.claim(segment.address, segment.address + segment.size, name)
        memory.write(segment.address, segment.data)

    info = put_info(layout, command_line(Path(image), append), put_modules(layout, modules))
    state = protected_flat(eip=entry, code=CODE_SELECTOR, data=DATA_SELECTOR, gdtr=layout.put_gdt())
    state.eax = BOOT_MAGIC
    state.ebx = info
    state.esp = e820.EBDA
    return state


def by_addresses(image: bytes, header: Header, name: str) -> tuple[list[Segment], int]:
    """The one segment and the entry that the header's addresses describe (3.1.3)."""
    begin = header.offset - (header.header_addr - header.load_addr)
    end = begin + header.load_end_addr - header.load_addr if header.load_end_addr else len(image)
    if not 0 <= begin < end <= len(image):
        raise ImageError(
            f"{name}: its header's addresses ask for bytes {begin} to {end} of {len(image)}; it is damaged"
        )
    size = max(end - begin, header.bss_end_addr - header.load_addr)
    if not header.load_addr <= header.entry_addr < header.load_addr + size:
        raise ImageError(f"{name}: its entry {header.entry_addr:#x} is outside what it loads; the image is damaged")
    return [Segment(header.load_addr, image[begin:end], size)], header.entry_addr


def by_elf(image: bytes, name: str) -> tuple[list[Segment], int]:
    """The loadable segments of an ELF32 file, and the entry as a physical address.

    The entry is a virtual address that some segment has, as ELF wants it, else a physical one: the linker scripts of
    kernels that run high (xv6's, for one) name their entry by where it is before they switch paging on.
    """
    if len(image) < ELF_HEADER.size or image[:4] != ELF_MAGIC:
        raise ImageError(f"{name}: neither an ELF file nor with load addresses (flag 16); link it as ELF32")
    ident, kind, machine, _, entry, table, _, _, _, row, rows, *_ = ELF_HEADER.unpack_from(image)
    if ident[4] != ELFCLASS32 or ident[5] != ELFDATA2LSB or machine != EM_386 or kind == ET_REL:
        from hyperport.boot.naming import describe_elf

        raise ImageError(f"{name}: {describe_elf(image, len(image))}")
    if row != PROGRAM_HEADER.size or table + row * rows > len(image):
        raise ImageError(f"{name}: its program headers are outside the file; the image is damaged")
    segments: list[Segment] = []
    virtual_entry = physical_entry = None
    for kind, offset, virtual, address, file_size, size, _, _ in program_headers(image, table, rows):
        if kind != PT_LOAD or size == 0:
            continue
        if len(segments) == SEGMENTS_LIMIT:
            raise ImageError(f"{name}: more than {SEGMENTS_LIMIT} loadable segments; link it into fewer")
        if offset + file_size > len(image) or file_size > size:
            raise ImageError(f"{name}: a segment at {address:#x} is outside the file; the image is damaged")
        segments.append(Segment(address, image[offset : offset + file_size], size))
        if virtual_entry is None and virtual <= entry < virtual + size:
            virtual_entry = entry - virtual + address
        if address <= entry < address + size:
            physical_entry = entry
    start = physical_entry if virtual_entry is None else virtual_entry
    if start is None:
        raise ImageError(f"{name}: its entry {entry:#x} is in no loadable segment; the image is damaged")
    return segments, start


def program_headers(image: bytes, table: int, rows: int) -> Iterator[tuple[int, ...]]:
    """type, offset, virtual and physical address, size in the file and in memory, flags, alignment of each."""
    return PROGRAM_HEADER.iter_unpack(image[table : table + rows * PROGRAM_HEADER.size])


def put_modules(layout: Layout, modules: Sequence[tuple[Path | str, str]]) -> list[tuple[int, int, int]]:
    """Write the modules from 1 MiB up and their strings; start, end and the string's address of each."""
    placed = []
    for path, text in modules:
        data = read_file(path, "module", layout.memory.size)
        start = layout.take(len(data), f"module {path}", low=e820.HIGH, align=PAGE)
        layout.memory.write(start, data)
        string = put_low(layout, encode_text(text, f"string of module {path}", TEXT_LIMIT), f"string of module {path}")
        placed.append((start, start + len(data), string))
    return placed


def command_line(image: Path | str, append: str) -> str:
    """What the kernel is told: the name of its file, without folders and with blanks escaped, then append."""
    name = Path(image).name.replace("\\", "\\\\").replace(" ", "\\ ")
    return f"{name} {append}" if append else name


def put_info(layout: Layout, words: str, modules: Sequence[tuple[int, int, int]]) -> int:
    """Write the information structure (3.3) and all that it points to; its address."""
    ram = layout.memory.size
    text = put_low(layout, encode_text(words, "command line (--append)", TEXT_LIMIT), "command line (--append)")
    entries = b"".join(
        struct.pack("<IQQI", 20, entry.start, entry.end - entry.start, entry.kind) for entry in e820.memory_map(ram)
    )
    rows = b"".join(struct.pack("<4I", *module, 0) for module in modules)
    flags = INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME
    # flags mem_lower mem_upper boot_device cmdline mods_count mods_addr syms[4] mmap_length mmap_addr
    # drives_length drives_addr config_table boot_loader_name; what follows is for flags that are not set
    info = struct.pack(
        "<17I",
        *(flags, e820.lower_kib(), e820.upper_kib(ram), 0, text),
        *(len(modules), put_low(layout, rows, "list of modules") if rows else 0, 0, 0, 0, 0),
        *(len(entries), put_low(layout, entries, "memory map"), 0, 0, 0),
        put_low(layout, LOADER_NAME, "boot loader's name"),
    )
    return put_low(layout, info.ljust(INFO_SIZE, b"\0"), "Multiboot information")


def put_low(layout: Layout, data: bytes, what: str) -> int:
    """Write data to free conventional memory; its address."""
    at = layout.take(len(data), what, high=e820.EBDA, align=16)
    layout.memory.write(at, data)
    return at
