# SPDX-License-Identifier: GPL-2.0-or-later
"""What a file is that no loader takes, and what to do with it: one line, from tables of the formats' own marks.

Sources of the marks: the formats' specifications, and file(1)'s magic(5), which collects them.
"""

from __future__ import annotations

import string
import struct
from typing import Final, NamedTuple

LOADABLE: Final = "a bzImage, a zImage or a Multiboot 1 kernel for i386"
KERNEL: Final = f"give {LOADABLE}"
UNPACK: Final = "unpack it and give what is in it"
DISK: Final = "give it with --disk, and a kernel with --kernel"
CONVERT: Final = "convert it with qemu-img convert -O qcow2, and give that"
CDROM: Final = "give it with --cdrom, and a kernel with --kernel"
SECTORS: Final = "convert it to a raw image, the sectors alone in their order"
ISO: Final = "convert it to an ISO image, the 2,048 bytes of each sector alone"
INITRD: Final = "give it with --initrd, and the kernel with --kernel"
LINK: Final = "link it as elf32-i386 with a Multiboot header"
RAW: Final = "for a raw image add --flat ADDR,MODE"
BOOT_SECTOR: Final = "no firmware starts it here: give a kernel, or enter it as it is with --flat 0x7c00,real"


class Row(NamedTuple):
    """A file with these bytes at this offset is `what`; do `advice`."""

    offset: int
    mark: bytes
    what: str
    advice: str


MARKS: Final = (
    # Kernels for others. What an EFI stub makes look like a PE file stands before PE.
    Row(0x202, b"HdrS", "a Linux kernel whose boot sector lacks its mark 55AAh", "the image is damaged"),
    Row(0x38, b"ARM\x64", "a Linux kernel for AArch64", KERNEL),
    Row(0x38, b"RSC\x05", "a Linux kernel for RISC-V", KERNEL),
    Row(0x24, b"\x18\x28\x6f\x01", "a Linux zImage for ARM", KERNEL),
    Row(0, b"\x27\x05\x19\x56", "a U-Boot image", KERNEL),
    Row(0, b"\xd0\x0d\xfe\xed", "a device tree or a U-Boot FIT image", KERNEL),
    # Disks, before the boot sectors that may stand in front of them.
    Row(0x8001, b"CD001", "an ISO 9660 image", CDROM),
    Row(0x8001, b"BEA01", "a UDF image", CDROM),
    Row(0x200, b"EFI PART", "a disk image with a GPT", DISK),
    Row(0, b"QFI\xfb\0\0\0\1", "a disk image of qcow's first version", CONVERT),
    Row(0, b"QFI\xfb", "a qcow2 disk image", CONVERT),
    Row(0, b"KDMV", "a VMDK disk image", CONVERT),
    Row(0, b"# Disk DescriptorFile", "a VMDK disk descriptor", CONVERT),
    Row(0, b"conectix", "a VHD disk image", CONVERT),
    Row(0, b"vhdxfile", "a VHDX disk image", CONVERT),
    Row(0x40, b"\x7f\x10\xda\xbe", "a VDI disk image", CONVERT),
    Row(0, b"WithoutFreeSpace", "a Parallels disk image", CONVERT),
    Row(0, b"QED\0", "a QED disk image", CONVERT),
    Row(0x438, b"\x53\xef", "an ext2, ext3 or ext4 file system", DISK),
    Row(3, b"NTFS    ", "an NTFS file system", DISK),
    Row(3, b"EXFAT   ", "an exFAT file system", DISK),
    Row(0x36, b"FAT", "a disk or floppy image with a FAT file system", DISK),
    Row(0x52, b"FAT32", "a disk image with a FAT file system", DISK),
    Row(0, b"hsqs", "a squashfs file system", DISK),
    Row(0, b"XFSB", "an XFS file system", DISK),
    Row(0, b"\x45\x3d\xcd\x28", "a cramfs file system", DISK),
    Row(0, b"-rom1fs-", "a romfs file system", DISK),
    # Floppies and CDs with more than their sectors.
    Row(0, b"IMD ", "a floppy image of ImageDisk's", SECTORS),
    Row(0, b"TD\0", "a floppy image of Teledisk's", SECTORS),
    Row(0, b"td\0", "a packed floppy image of Teledisk's", SECTORS),
    Row(0, b"HXCPICFE", "a floppy image for HxC's emulator", SECTORS),
    Row(0, b"HXCHFEV3", "a floppy image for HxC's emulator", SECTORS),
    Row(0, b"86BF", "a floppy image of 86Box's", SECTORS),
    Row(0, b"PSI ", "a floppy image of PCE's", SECTORS),
    Row(0, b"MFM_DISK", "a floppy image of a disk's flux", SECTORS),
    Row(0, b"SCP", "a floppy image of a disk's flux", SECTORS),
    Row(0, b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", "a CD image with whole sectors of 2,352 bytes", ISO),
    Row(0, b"MEDIA DESCRIPTOR", "the description of a CD image", "give the image itself, as ISO 9660"),
    Row(0, b'FILE "', "a cue sheet, the description of a CD image", "give the image itself, as ISO 9660"),
    # Packed files.
    Row(0, b"\x1f\x8b", "a gzip file", UNPACK),
    Row(0, b"\xfd7zXZ\0", "an xz file", UNPACK),
    Row(0, b"BZh", "a bzip2 file", UNPACK),
    Row(0, b"\x28\xb5\x2f\xfd", "a zstd file", UNPACK),
    Row(0, b"\x04\x22\x4d\x18", "an lz4 file", UNPACK),
    Row(0, b"\x02\x21\x4c\x18", "an lz4 file", UNPACK),
    Row(0, b"\x5d\0\0", "an lzma file", UNPACK),
    Row(0, b"\x89LZO", "an lzop file", UNPACK),
    Row(0, b"PK\x03\x04", "a zip file", UNPACK),
    Row(0, b"7z\xbc\xaf\x27\x1c", "a 7z file", UNPACK),
    Row(0, b"Rar!", "a rar file", UNPACK),
    Row(0x101, b"ustar", "a tar file", UNPACK),
    Row(0, b"07070", "a cpio archive, such as an initramfs", INITRD),
    Row(0, b"\xc7\x71", "a cpio archive, such as an initramfs", INITRD),
    Row(
        0, b"!<arch>\ndebian", "a Debian package", "unpack it with dpkg-deb -x and give the vmlinuz in its boot folder"
    ),
    Row(0, b"!<arch>\n", "a static library", LINK),
    Row(0, b"\xed\xab\xee\xdb", "an RPM package", UNPACK),
    # Programs and objects.
    Row(0, b"\xce\xfa\xed\xfe", "a Mach-O program for macOS", LINK),
    Row(0, b"\xcf\xfa\xed\xfe", "a Mach-O program for macOS", LINK),
    Row(0, b"\xca\xfe\xba\xbe", "a Java class or a Mach-O program", LINK),
    Row(0, b"\0asm", "a WebAssembly module", LINK),
    Row(0, b"BC\xc0\xde", "LLVM bitcode", LINK),
    Row(0, b"\x4c\x01", "a COFF object file", LINK),
    Row(0, b"\x64\x86", "a COFF object file for x86-64", LINK),
    Row(0, b"\x07\x01\x64\0", "an a.out object file", LINK),
    Row(0, b"\x0b\x01\x64\0", "an a.out program", LINK),
    Row(0, b"\xcc\x01\x64\0", "an a.out program", LINK),
    # Firmware, and what lies about beside kernels.
    Row(0, b"\x55\xaa", "an option ROM", KERNEL),
    Row(0, b"%PDF", "a PDF document", KERNEL),
    Row(0, b"\x89PNG", "a picture", KERNEL),
    Row(0, b"\xff\xd8\xff", "a picture", KERNEL),
    Row(0, b"version https://git-lfs", "a pointer to a file in Git LFS", "fetch the file itself with git lfs pull"),
    Row(0, b"#!", "a script", KERNEL),
)
PE_MACHINES: Final = {0x14C: "i386", 0x8664: "x86-64", 0x1C0: "ARM", 0x1C2: "ARM", 0x1C4: "ARM", 0xAA64: "AArch64"}
ELF_MACHINES: Final = {
    2: "SPARC",
    3: "i386",
    4: "68000",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC64",
    22: "S/390",
    40: "ARM",
    42: "SuperH",
    43: "SPARC64",
    50: "IA-64",
    62: "x86-64",
    93: "ARC",
    183: "AArch64",
    243: "RISC-V",
    258: "LoongArch",
}
ELF_TYPES: Final = {1: ("an object file", LINK), 3: ("a shared object or a position-independent program", LINK)}
ELF_CORE: Final = 4
PT_INTERP: Final = 3  # asks for a program interpreter, the dynamic linker

MULTIBOOT1: Final = 0x1BADB002
MULTIBOOT1_SEARCH: Final = 8192
MULTIBOOT2: Final = 0xE85250D6
SECTOR: Final = 512
TEXT: Final = frozenset(string.printable.encode()) | set(range(0x80, 0x100))


def describe(head: bytes, size: int) -> str:
    """What the file is and what to do. head: its first layout.HEAD bytes, or all; size: of the whole file, in bytes."""
    for told in (_multiboot(head), describe_elf(head, size), _mz(head)):
        if told:
            return told
    for row in MARKS:
        if head.startswith(row.mark, row.offset):
            return f"{row.what}; {row.advice}"
    return _unmarked(head, size)


def _multiboot(head: bytes) -> str:
    """Headers of the Multiboot specifications that find_header() does not take."""
    for offset in range(0, min(len(head), 32 << 10) - 11, 4):
        (magic,) = struct.unpack_from("<I", head, offset)
        if magic == MULTIBOOT2 and offset % 8 == 0:
            _, architecture, length, checksum = struct.unpack_from("<4I", head.ljust(offset + 16, b"\0"), offset)
            if (magic + architecture + length + checksum) & 0xFFFFFFFF == 0:
                return f"a Multiboot 2 kernel, its header at byte {offset}; {KERNEL}"
        if magic == MULTIBOOT1:
            if sum(struct.unpack_from("<3I", head, offset)) & 0xFFFFFFFF:
                return (
                    f"its Multiboot header at byte {offset} has a wrong checksum; magic, flags and it must add up to 0"
                )
            if offset >= MULTIBOOT1_SEARCH:
                advice = f"it must be in the first {MULTIBOOT1_SEARCH}: move its section to the front"
                return f"its Multiboot header is at byte {offset}; {advice}"
    return ""


def describe_elf(head: bytes, size: int) -> str:
    """What an ELF file is that is not taken, and what to do; empty for other files. size: of the whole file."""
    if not head.startswith(b"\x7fELF"):
        return ""
    if len(head) < 52:
        return "an ELF file that ends within its header; the file is cut off"
    big = head[5] == 2
    kind, machine = struct.unpack_from(">2H" if big else "<2H", head, 16)
    name = ELF_MACHINES.get(machine, f"machine {machine}")
    if kind == ELF_CORE:
        return f"a core dump of a program for {name}; {KERNEL}"
    if machine != 3 or big or head[4] != 1:
        bits = {1: "32-bit ", 2: "64-bit "}.get(head[4], "")
        form = f", {bits}{'big' if big else 'little'}-endian" if machine == 3 else ""
        return f"an ELF file for {name}{form}, not for i386; {KERNEL}"
    if kind in ELF_TYPES:
        what, advice = ELF_TYPES[kind]
        return f"{what} for i386, not linked to run alone; {advice}"
    table, rows = struct.unpack_from("<I", head, 28)[0], struct.unpack_from("<H", head, 44)[0]
    ends = [table + 32 * rows]
    for row in range(min(rows, 64)):
        if len(head) >= table + 32 * (row + 1):
            at, _, _, length = struct.unpack_from("<4I", head, table + 32 * row + 4)
            ends.append(at + length)
    if max(ends) > size:
        return f"an ELF program for i386, {size} bytes of at least {max(ends)}; the file is cut off"
    for row in range(min(rows, 64)):
        if head[table + 32 * row : table + 32 * row + 4] == struct.pack("<I", PT_INTERP):
            return f"a program for Linux, dynamically linked; put it into an initramfs, and give {LOADABLE}"
    return f"an ELF program for i386 without a Multiboot header in its first {MULTIBOOT1_SEARCH} bytes; {KERNEL}"


def _mz(head: bytes) -> str:
    """DOS programs and what begins like them."""
    if not head.startswith(b"MZ") or len(head) < 0x40 or head[0x38:0x3C] in (b"ARM\x64", b"RSC\x05"):
        return ""
    (at,) = struct.unpack_from("<I", head, 0x3C)
    if head[at : at + 4] == b"PE\0\0" and len(head) >= at + 6:
        (machine,) = struct.unpack_from("<H", head, at + 4)
        return f"a PE file, for EFI or Windows, for {PE_MACHINES.get(machine, f'machine {machine:#x}')}; {KERNEL}"
    if head[at : at + 2] in (b"NE", b"LE", b"LX"):
        return f"a program for Windows or OS/2; {KERNEL}"
    return f"a DOS program; {KERNEL}"


def _unmarked(head: bytes, size: int) -> str:
    """Files without a mark of their own."""
    if len(head) >= SECTOR and head[510:512] == b"\x55\xaa":
        if any(head[entry] in (0x00, 0x80) and head[entry + 4] for entry in range(446, 510, 16)) and size > SECTOR:
            return f"a disk image with an MBR; {DISK}"
        return f"a boot sector; {BOOT_SECTOR}"
    if not any(head):
        return f"{size} bytes that begin with zeros; {KERNEL}, or {RAW}"
    if all(byte in TEXT for byte in head[:SECTOR]):
        what = "an HTML page" if head[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")) else "text"
        return f"{what}; {KERNEL}"
    return f"neither a Linux nor a Multiboot kernel; {KERNEL}, or {RAW}"
