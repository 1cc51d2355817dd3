# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic kernels: the least that a loader accepts, every field open to change."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from hyperport.boot.linux import FIELDS
from hyperport.boot.multiboot import ELF_HEADER, MAGIC, PROGRAM_HEADER
from hyperport.errors import ImageError

T = TypeVar("T")

CODE = bytes(range(256)) * 8  # the protected-mode part of a synthetic kernel


def bzimage(code: bytes = CODE, **changes: int) -> bytes:
    """A bzImage of protocol 2.12 with two real-mode sectors; changes are fields of the setup header by name."""
    fields = {
        "setup_sects": 1,
        "syssize": -(-len(code) // 16),
        "boot_flag": 0xAA55,
        "jump": 0x6A,
        "version": 0x20C,
        "loadflags": 1,
        "code32_start": 0x100000,
        "initrd_addr_max": 0x7FFFFFFF,
        "kernel_alignment": 0x200000,
        "relocatable_kernel": 1,
        "cmdline_size": 2047,
        "pref_address": 0x200000,
        "init_size": 0x100000,
        **changes,
    }
    image = bytearray((fields["setup_sects"] + 1) * 512)
    for name, value in fields.items():
        offset, form, _ = FIELDS[name]
        struct.pack_into("<" + form, image, offset, value)
    image[0x200] = 0xEB
    image[0x202:0x206] = b"HdrS"
    return bytes(image) + code


def multiboot_header(flags: int = 0, addresses: tuple[int, ...] = ()) -> bytes:
    """Magic, flags, a right checksum, and addresses for flag 16."""
    return struct.pack("<3I", MAGIC, flags, -(MAGIC + flags) & 0xFFFFFFFF) + struct.pack(
        f"<{len(addresses)}I", *addresses
    )


def elf(
    segments: list[tuple[int, int, bytes, int]], entry: int, header: bytes | None = None, **changes: int | bytes
) -> bytes:
    """An ELF32 file: segments are (virtual, physical, data, size in memory); the Multiboot header comes after them."""
    header = multiboot_header() if header is None else header
    fields: dict[str, int | bytes] = {
        "ident": b"\x7fELF\x01\x01\x01",
        "type": 2,
        "machine": 3,
        "version": 1,
        "entry": entry,
        "phoff": ELF_HEADER.size,
        "shoff": 0,
        "flags": 0,
        "ehsize": ELF_HEADER.size,
        "phentsize": PROGRAM_HEADER.size,
        "phnum": len(segments),
        "shentsize": 0,
        "shnum": 0,
        "shstrndx": 0,
        **changes,
    }
    table, content = b"", header
    start = ELF_HEADER.size + PROGRAM_HEADER.size * len(segments)
    for virtual, physical, data, size in segments:
        table += PROGRAM_HEADER.pack(1, start + len(content), virtual, physical, len(data), size, 7, 4096)
        content += data
    return ELF_HEADER.pack(*fields.values()) + table + content


def unless_refused(load: Callable[[], T]) -> T | None:
    """What load returns, or None if it raises ImageError of one line; any other exception comes out."""
    try:
        return load()
    except ImageError as error:
        message = str(error)
    assert "\n" not in message
    return None
