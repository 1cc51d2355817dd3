# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of file that somebody might give as a kernel by mistake, and the line that it gets."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperport.boot import loader
from hyperport.boot.layout import HEAD
from hyperport.boot.multiboot import MAGIC
from hyperport.boot.naming import CONVERT, DISK, IMAGE, INITRD, KERNEL, LINK, MARKS, RAW, UNPACK, describe
from hyperport.errors import ImageError
from hyperport.memory.ram import GuestMemory

from ..conftest import LIMIT_S, command
from .images import bzimage, elf, multiboot_header

NOISE = bytes(range(1, 255)) * 300  # no text, no zeros, no mark


def at(offset: int, mark: bytes, size: int = 0xA000) -> bytes:
    """A file of zeros with a mark."""
    return bytes(offset) + mark + bytes(max(0, size - offset - len(mark)))


def elf_for(machine: int, *, bits: int = 1, big: bool = False, kind: int = 2) -> bytes:
    ident = b"\x7fELF" + bytes([bits, 2 if big else 1, 1]) + bytes(9)
    return ident + struct.pack(">HHI" if big else "<HHI", kind, machine, 1) + bytes(60)


def dynamic() -> bytes:
    """A Linux program that asks for the dynamic linker."""
    image = bytearray(elf([(0x8048000, 0x8048000, b"code", 4)], 0x8048000, b""))
    struct.pack_into("<I", image, 52, 3)
    return bytes(image)


def pe(machine: int) -> bytes:
    return (
        b"MZ" + bytes(0x3A) + struct.pack("<I", 0x80) + bytes(0x40) + b"PE\0\0" + struct.pack("<H", machine) + bytes(99)
    )


def multiboot2(at_byte: int = 0) -> bytes:
    words = (0xE85250D6, 0, 16)
    return bytes(at_byte) + struct.pack("<4I", *words, -sum(words) & 0xFFFFFFFF) + bytes(64)


MBR = bytes(446) + b"\x80\0\0\0\x83" + bytes(59) + b"\x55\xaa"
KINDS = {
    # Programs and kernels for other machines.
    "x86-64 ELF": (elf_for(62, bits=2), "an ELF file for x86-64, not for i386", KERNEL),
    "x32 ELF": (elf_for(62), "an ELF file for x86-64, not for i386", KERNEL),
    "ARM ELF": (elf_for(40), "an ELF file for ARM, not for i386", KERNEL),
    "AArch64 ELF": (elf_for(183, bits=2), "an ELF file for AArch64, not for i386", KERNEL),
    "RISC-V ELF": (elf_for(243, bits=2), "an ELF file for RISC-V, not for i386", KERNEL),
    "PowerPC ELF": (elf_for(20, big=True), "an ELF file for PowerPC, not for i386", KERNEL),
    "MIPS ELF": (elf_for(8, big=True), "an ELF file for MIPS, not for i386", KERNEL),
    "S/390 ELF": (elf_for(22, bits=2, big=True), "an ELF file for S/390, not for i386", KERNEL),
    "68000 ELF": (elf_for(4, big=True), "an ELF file for 68000, not for i386", KERNEL),
    "LoongArch ELF": (elf_for(258, bits=2), "an ELF file for LoongArch, not for i386", KERNEL),
    "strange ELF": (elf_for(999), "an ELF file for machine 999, not for i386", KERNEL),
    "64-bit i386 ELF": (elf_for(3, bits=2), "an ELF file for i386, 64-bit little-endian, not for i386", KERNEL),
    "ARM Linux zImage": (at(0x24, b"\x18\x28\x6f\x01"), "a Linux zImage for ARM", KERNEL),
    "AArch64 Linux": (b"MZ" + at(0x36, b"ARM\x64"), "a Linux kernel for AArch64", KERNEL),
    "RISC-V Linux": (b"MZ" + at(0x36, b"RSC\x05"), "a Linux kernel for RISC-V", KERNEL),
    "x86-64 Linux": (bzimage(xloadflags=1), "for x86-64", "give an i386 kernel"),
    "uImage": (at(0, b"\x27\x05\x19\x56"), "a U-Boot image", KERNEL),
    "device tree": (at(0, b"\xd0\x0d\xfe\xed"), "a device tree", KERNEL),
    # For i386, but nothing that runs alone.
    "object file": (elf_for(3, kind=1), "an object file for i386, not linked to run alone", LINK),
    "shared object": (elf_for(3, kind=3), "a shared object or a position-independent program for i386", LINK),
    "object file with a header": (elf([], 0, type=1), "an object file for i386, not linked to run alone", LINK),
    "core dump": (elf_for(3, kind=4), "a core dump of a program for i386", KERNEL),
    "x86-64 core dump": (elf_for(62, bits=2, kind=4), "a core dump of a program for x86-64", KERNEL),
    "dynamic program": (dynamic(), "a program for Linux, dynamically linked", "put it into an initramfs"),
    "static program": (
        elf([(0, 0x100000, b"x", 1)], 0, b""),
        "an ELF program for i386 without a Multiboot header",
        KERNEL,
    ),
    "cut ELF": (elf_for(3)[:40], "an ELF file that ends within its header", "cut off"),
    "a.out": (at(0, b"\x0b\x01\x64\0"), "an a.out program", LINK),
    "COFF": (at(0, b"\x4c\x01\x03\0"), "a COFF object file", LINK),
    "static library": (at(0, b"!<arch>\nfile.o/  "), "a static library", LINK),
    "LLVM bitcode": (at(0, b"BC\xc0\xde"), "LLVM bitcode", LINK),
    "WebAssembly": (at(0, b"\0asm\1\0\0\0"), "a WebAssembly module", LINK),
    "Mach-O": (at(0, b"\xcf\xfa\xed\xfe"), "a Mach-O program", LINK),
    "Java class": (at(0, b"\xca\xfe\xba\xbe"), "a Java class", LINK),
    "EFI program": (pe(0x14C), "a PE file, for EFI or Windows, for i386", KERNEL),
    "x86-64 EFI program": (pe(0x8664), "a PE file, for EFI or Windows, for x86-64", KERNEL),
    "DOS program": (b"MZ" + bytes(200), "a DOS program", KERNEL),
    "Windows 3 program": (b"MZ" + bytes(0x3A) + b"\x40\0\0\0NE" + bytes(64), "a program for Windows or OS/2", KERNEL),
    "script": (b"#!/bin/sh\nexit 0\n", "a script", KERNEL),
    # Multiboot that is not ours.
    "Multiboot 2": (multiboot2(), "a Multiboot 2 kernel, its header at byte 0", KERNEL),
    "Multiboot 2 far in": (multiboot2(0x7000), "a Multiboot 2 kernel, its header at byte 28672", KERNEL),
    "late Multiboot": (bytes(8192) + multiboot_header(), "its Multiboot header is at byte 8192", "move its section"),
    "wrong checksum": (struct.pack("<3I", MAGIC, 0, 1) + bytes(99), "at byte 0 has a wrong checksum", "add up to 0"),
    "unknown flags": (multiboot_header(4) + bytes(99), "its header asks for flags 0x4", "clear them"),
    "Multiboot without ELF": (multiboot_header() + bytes(99), "neither an ELF file nor with load addresses", "link it"),
    "ELF64 without addresses": (elf_for(62, bits=2) + multiboot_header(), "an ELF file for x86-64", KERNEL),
    # Disks and file systems.
    "ISO 9660": (at(0x8001, b"CD001"), "an ISO 9660 image", IMAGE),
    "ISO 9660 with a boot sector": (MBR + at(0x8001 - 512, b"CD001"), "an ISO 9660 image", IMAGE),
    "MBR": (MBR + bytes(4096), "a disk image with an MBR", IMAGE),
    "GPT": (MBR + b"EFI PART" + bytes(4096), "a disk image with a GPT", DISK),
    "floppy": (at(0x36, b"FAT12   ", 1474560), "a disk or floppy image with a FAT file system", DISK),
    "FAT32": (at(0x52, b"FAT32   "), "a disk image with a FAT file system", DISK),
    "NTFS": (at(3, b"NTFS    "), "an NTFS file system", DISK),
    "ext4": (at(0x438, b"\x53\xef"), "an ext2, ext3 or ext4 file system", DISK),
    "squashfs": (at(0, b"hsqs"), "a squashfs file system", DISK),
    "boot sector": (NOISE[:510] + b"\x55\xaa", "a boot sector", "--flat 0x7c00,real"),
    "qcow2": (at(0, b"QFI\xfb"), "a qcow2 disk image", IMAGE),
    "VMDK": (at(0, b"KDMV"), "a VMDK disk image", CONVERT),
    "VDI": (at(0x40, b"\x7f\x10\xda\xbe"), "a VDI disk image", CONVERT),
    "VHD": (at(0, b"conectix"), "a VHD disk image", CONVERT),
    "VHDX": (at(0, b"vhdxfile"), "a VHDX disk image", CONVERT),
    # Packed files.
    "gzip": (at(0, b"\x1f\x8b\x08"), "a gzip file", UNPACK),
    "xz": (at(0, b"\xfd7zXZ\0"), "an xz file", UNPACK),
    "zstd": (at(0, b"\x28\xb5\x2f\xfd"), "a zstd file", UNPACK),
    "bzip2": (b"BZh91AY&SY" + NOISE, "a bzip2 file", UNPACK),
    "zip": (at(0, b"PK\x03\x04"), "a zip file", UNPACK),
    "tar": (at(0x101, b"ustar\0"), "a tar file", UNPACK),
    "cpio": (b"070701" + b"0" * 104, "a cpio archive, such as an initramfs", INITRD),
    "Debian package": (b"!<arch>\ndebian-binary   ", "a Debian package", "vmlinuz in its boot folder"),
    "RPM package": (at(0, b"\xed\xab\xee\xdb"), "an RPM package", UNPACK),
    # Linux kernels that are damaged.
    "cut bzImage": (bzimage()[:-16], "the file is cut off", "cut off"),
    "bzImage without its mark": (bzimage(boot_flag=0), "lacks its mark 55AAh", "damaged"),
    # All the rest.
    "option ROM": (at(0, b"\x55\xaa\x40"), "an option ROM", KERNEL),
    "HTML": (b"<!DOCTYPE html>\n<title>Not found</title>", "an HTML page", KERNEL),
    "text": (b"root=/dev/hda1 console=ttyS0\n", "text", KERNEL),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "a pointer to a file in Git LFS", "git lfs pull"),
    "zeros": (bytes(4096), "4096 bytes that begin with zeros", RAW),
    "noise": (NOISE, "neither a Linux nor a Multiboot kernel", RAW),
    "empty": (b"", "the file is empty", "give another"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_is_no_kernel_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    content, what, advice = KINDS[name]
    kernel = tmp_path / "kernel"
    kernel.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        loader.load(GuestMemory(8 << 20), kernel)
    line = str(caught.value)
    assert line.startswith(f"kernel {kernel}: ")
    assert what in line
    assert advice in line
    assert "\n" not in line
    assert len(line) - len(str(kernel)) < 200


def test_every_mark_is_found_where_it_stands() -> None:
    for row in MARKS:
        told = describe(at(row.offset, row.mark, HEAD), HEAD)
        assert any(told == f"{other.what}; {other.advice}" for other in MARKS if row.mark.startswith(other.mark)), row


@pytest.mark.parametrize("what", ["a directory", "a pipe", "a socket", "a character device"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, what: str) -> None:
    place = tmp_path / "kernel"
    if what == "a directory":
        place.mkdir()
    elif what == "a pipe":
        os.mkfifo(place)
    elif what == "a socket":
        socket.socket(socket.AF_UNIX).bind(str(place))
    else:
        place = Path("/dev/zero")
    own = {"a socket": "No such device or address", "a directory": "Is a directory"}
    problem = own.get(what, f"{what}; give a file")
    with pytest.raises(ImageError, match=problem):
        loader.load(GuestMemory(1 << 20), place)
    with pytest.raises(ImageError, match=problem):
        loader.load(GuestMemory(1 << 20), place, flat=(0x7C00, "real"))


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("absent", "No such file or directory; check the path"),
        ("loop", "Too many levels of symbolic links; check the path"),
        ("file/below", "Not a directory; check the path"),
        ("x" * 300, "File name too long; check the path"),
        ("nul\0", "not a path; check the name"),
    ],
)
def test_a_path_that_leads_nowhere(tmp_path: Path, path: str, problem: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ImageError, match=problem):
        loader.load(GuestMemory(1 << 20), tmp_path / path)


@pytest.mark.parametrize("name", ["x86-64 ELF", "Multiboot 2", "ISO 9660", "gzip", "text", "empty"])
def test_the_command_gives_the_line_and_66(tmp_path: Path, name: str) -> None:
    content, what, advice = KINDS[name]
    kernel = tmp_path / "kernel"
    kernel.write_bytes(content)
    done = subprocess.run(command("-k", str(kernel)), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (66, 1)
    assert what in done.stderr
    assert advice in done.stderr


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    seed=st.sampled_from([content for content, _, _ in KINDS.values()]),
    noise=st.lists(st.tuples(st.integers(0, 0x100), st.integers(0, 255)), max_size=8),
    cut=st.one_of(st.none(), st.integers(0, 600)),
)
def test_any_bytes_get_one_line(seed: bytes, noise: list[tuple[int, int]], cut: int | None) -> None:
    head = bytearray(seed[:HEAD])
    for offset, value in noise:
        if offset < len(head):
            head[offset] = value
    told = describe(bytes(head[:cut]), len(seed))
    assert "; " in told
    assert "\n" not in told
