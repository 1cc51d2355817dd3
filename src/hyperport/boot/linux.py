# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux kernels by the 32-bit boot protocol (Linux, Documentation/arch/x86/boot.rst and zero-page.rst).

The image is a real-mode part, whose setup header says what the kernel wants, and the protected-mode part that is
loaded and entered. The real-mode part never runs: what it would find out is written into boot_params.

Kernels of protocols before 2.05 unpack themselves by way of the memory between 0x2000 and their boot_params, which
their own real-mode part would have left at 0x90000: so it lies there, with the command line after it. Before 2.02 that
is also where they look for the command line. A zImage goes to 0x1000, where its real-mode part would have moved it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hyperport.boot import e820
from hyperport.boot.bios_state import DISK_TABLE_BYTES, disk_table
from hyperport.boot.layout import CODE_SELECTOR, DATA_SELECTOR, Layout, encode_text, read_file
from hyperport.cpu.state import CpuState, protected_flat
from hyperport.errors import ImageError
from hyperport.memory.ram import GuestMemory

SECTOR: Final = 512
BOOT_FLAG: Final = 0xAA55
HEADER_MAGIC: Final = b"HdrS"
HEADER: Final = 0x1F1  # the setup header begins here, in the image as in boot_params
HEADER_LIMIT: Final = 0x290  # boot_params has other things from here on
OLDEST: Final = 0x200  # the first with a setup header
LONG_SYSSIZE: Final = 0x204  # syssize has four bytes; before, that of a bzImage cannot be relied on
POINTED_COMMAND_LINE: Final = 0x202  # cmd_line_ptr; before, an offset from the real-mode part
RELOCATABLE: Final = 0x205

# Setup header: offset, struct format and the protocol that brought the field in.
FIELDS: Final = {
    "setup_sects": (0x1F1, "B", 0x200),  # real-mode sectors after the first; 0 means 4
    "syssize": (0x1F4, "I", 0x200),  # protected-mode part in units of 16 bytes
    "boot_flag": (0x1FE, "H", 0x200),
    "jump": (0x201, "B", 0x200),  # the header ends at 0x202 plus this
    "version": (0x206, "H", 0x200),
    "loadflags": (0x211, "B", 0x200),
    "code32_start": (0x214, "I", 0x200),
    "initrd_addr_max": (0x22C, "I", 0x203),  # highest address of an initrd's last byte
    "kernel_alignment": (0x230, "I", 0x205),
    "relocatable_kernel": (0x234, "B", 0x205),
    "xloadflags": (0x236, "H", 0x20C),
    "cmdline_size": (0x238, "I", 0x206),  # without the NUL
    "pref_address": (0x258, "Q", 0x20A),
    "init_size": (0x260, "I", 0x20A),  # memory that the kernel needs from its address at run time
}
ABSENT: Final = {  # values of fields that an old protocol lacks; of the others 0
    "cmdline_size": 255,
    "initrd_addr_max": 0x37FFFFFF,
}

LOADED_HIGH: Final = 1 << 0  # loadflags: the protected-mode part goes to 1 MiB or above
CAN_USE_HEAP: Final = 1 << 7
XLF_KERNEL_64: Final = 1 << 0  # xloadflags: an x86-64 kernel

# boot_params ("zero page"): offset and struct format of what is written besides the header.
BOOT_PARAMS_SIZE: Final = 4096
SCREEN_MODE: Final = (0x006, "<B")  # struct screen_info stands at 0
SCREEN_COLUMNS: Final = (0x007, "<B")
SCREEN_EGA_BX: Final = (0x00A, "<H")
SCREEN_LINES: Final = (0x00E, "<B")
SCREEN_IS_VGA: Final = (0x00F, "<B")
SCREEN_POINTS: Final = (0x010, "<H")  # lines of a character
EXT_MEM_K: Final = (0x002, "<H")  # KiB above 1 MiB, as INT 15h AH=88h tells it
OLD_COMMAND_LINE: Final = (0x020, "<HH")  # before 2.02: a mark, and the command line's offset from boot_params
OLD_COMMAND_LINE_MARK: Final = 0xA33F
DISK_TABLE_COPIES: Final = ((0x41, 0x080), (0x46, 0x090))  # vector, offset of hd0_info and hd1_info
ALT_MEM_K: Final = (0x1E0, "<I")
E820_ENTRIES: Final = (0x1E8, "<B")
TYPE_OF_LOADER: Final = (0x210, "<B")
LOADFLAGS: Final = (0x211, "<B")
CODE32_START: Final = (0x214, "<I")
RAMDISK_IMAGE: Final = (0x218, "<I")
RAMDISK_SIZE: Final = (0x21C, "<I")
HEAP_END_PTR: Final = (0x224, "<H")
CMD_LINE_PTR: Final = (0x228, "<I")
HARDWARE_SUBARCH: Final = (0x23C, "<I")  # where lguest's guests look too: LGUEST_SUBARCH_AT
SETUP_DATA: Final = (0x250, "<Q")
E820_TABLE: Final = 0x2D0
E820_ENTRY: Final = "<QQI"  # address, size, type

MODE_3: Final = 3  # 80 by 25 characters in 16 colours
EGA_BX_COLOUR_256K: Final = 0x0003  # what INT 10h AH=12h BL=10h answers in BX
UNDEFINED_LOADER: Final = 0xFF
HEAP_END: Final = 0xFE00  # end of the real-mode heap, from the start of the real-mode part, less 0x200
COMMAND_LINE_LIMIT: Final = 0xFFFF  # bytes: our own, whatever the header says
LOW: Final = 0x1000  # boot_params and the rest are put from here on
OLD_LOW: Final = 0x90000  # of an old kernel
OLD_BUFFER: Final = 0x2000  # from here to OLD_LOW an old kernel unpacks itself
ZIMAGE_START: Final = 0x1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupHeader:
    """The fields of the setup header that loading depends on; what the protocol lacks has its documented value."""

    setup_sects: int
    syssize: int
    boot_flag: int
    jump: int
    version: int
    loadflags: int
    code32_start: int
    initrd_addr_max: int
    kernel_alignment: int
    relocatable_kernel: int
    xloadflags: int
    cmdline_size: int
    pref_address: int
    init_size: int

    @property
    def is_old(self) -> bool:
        """Whether it wants its boot_params at 0x90000 and the memory below it for itself."""
        return self.version < RELOCATABLE or not self.loadflags & LOADED_HIGH

    @property
    def protocol(self) -> str:
        """The version as boot.rst writes it."""
        return f"{self.version >> 8}.{self.version & 0xFF:02}"


def is_linux(image: bytes) -> bool:
    """Whether the image has a setup header."""
    return image[0x202:0x206] == HEADER_MAGIC and image[0x1FE:0x200] == struct.pack("<H", BOOT_FLAG)


def parse_header(image: bytes, name: str) -> SetupHeader:
    """The setup header, checked so far as it does not depend on the machine. Raises ImageError naming name."""
    if not is_linux(image) or len(image) < HEADER_LIMIT:
        raise ImageError(f"kernel {name}: not a Linux bzImage; give a vmlinuz or bzImage for i386")
    (version,) = struct.unpack_from("<H", image, FIELDS["version"][0])
    values = {
        field: struct.unpack_from("<" + form, image, offset)[0] if version >= since else ABSENT.get(field, 0)
        for field, (offset, form, since) in FIELDS.items()
    }
    header = SetupHeader(**values)
    if version < OLDEST:
        told = f"{version >> 8}.{version & 0xFF:02}"
        raise ImageError(f"kernel {name}: no boot protocol {told} is known; the image is damaged")
    if version < LONG_SYSSIZE:
        header = replace(header, syssize=0 if header.loadflags & LOADED_HIGH else header.syssize & 0xFFFF)
    if header.xloadflags & XLF_KERNEL_64:
        raise ImageError(f"kernel {name}: for x86-64, this PC has an i386 processor; give an i386 kernel")
    return header


def load_linux(
    memory: GuestMemory, kernel: Path | str, *, initrd: Path | str | None = None, append: str = "", subarch: int = 0
) -> CpuState:
    """Put a bzImage, an initrd and a command line into RAM; the processor's state at the kernel's 32-bit entry.

    subarch: hardware_subarch, 0 for a PC. It is written whatever the protocol: an old kernel does not look.
    Raises ImageError, one line, if the image is malformed or something does not fit.
    """
    image = read_file(kernel, "kernel", memory.size)
    header = parse_header(image, str(kernel))
    code = protected_part(image, header, str(kernel))
    limit = min(header.cmdline_size, COMMAND_LINE_LIMIT)
    command_line = encode_text(append, "command line (--append)", limit)

    layout = Layout(memory)
    start = load_address(header, str(kernel))
    low, high = start, start + len(code)
    if header.is_old:
        layout.claim(min(OLD_BUFFER, start), OLD_LOW, f"kernel {kernel}")
    if header.init_size:
        run = max(start, header.pref_address) if header.relocatable_kernel else header.pref_address
        low, high = min(low, run), max(high, run + header.init_size)
    if start != ZIMAGE_START:
        layout.claim(low, high, f"kernel {kernel}")
    memory.write(start, code)

    params = bytearray(BOOT_PARAMS_SIZE)
    end = min(0x202 + header.jump, HEADER_LIMIT)
    params[HEADER:end] = image[HEADER:end]
    store(params, RAMDISK_IMAGE, 0)
    store(params, RAMDISK_SIZE, 0)
    store(params, SETUP_DATA, 0)
    if initrd is not None:
        data = read_file(initrd, "initrd", memory.size)
        store(params, RAMDISK_IMAGE, put_initrd(layout, header, data, initrd))
        store(params, RAMDISK_SIZE, len(data))

    bottom = OLD_LOW if header.is_old else LOW
    params_at = layout.take(len(params), "boot_params", low=bottom, high=e820.EBDA)
    command_at = layout.take(len(command_line), "command line (--append)", low=bottom, high=e820.EBDA)
    memory.write(command_at, command_line)
    store(params, TYPE_OF_LOADER, UNDEFINED_LOADER)
    store(params, LOADFLAGS, header.loadflags | CAN_USE_HEAP)
    store(params, HEAP_END_PTR, HEAP_END)
    store(params, CODE32_START, start)
    if header.version >= POINTED_COMMAND_LINE:
        store(params, CMD_LINE_PTR, command_at)
    else:
        store(params, OLD_COMMAND_LINE, OLD_COMMAND_LINE_MARK, command_at - params_at)
    store(params, HARDWARE_SUBARCH, subarch)
    store_screen(params)
    store_memory(params, memory.size)
    for vector, at in DISK_TABLE_COPIES:
        params[at : at + DISK_TABLE_BYTES] = disk_table(memory, vector)
    memory.write(params_at, bytes(params))

    state = protected_flat(eip=start, code=CODE_SELECTOR, data=DATA_SELECTOR, gdtr=layout.put_gdt())
    state.esi = params_at
    state.esp = e820.EBDA
    return state


def protected_part(image: bytes, header: SetupHeader, name: str) -> bytes:
    """The protected-mode part. A file may lack up to 15 bytes of the last of syssize's paragraphs."""
    offset = ((header.setup_sects or 4) + 1) * SECTOR
    length = header.syssize * 16
    code = image[offset : offset + length] if length else image[offset:]
    if not code or len(code) + 15 < length:
        raise ImageError(f"kernel {name}: {len(image)} of {offset + length} bytes are there; the file is cut off")
    if not header.loadflags & LOADED_HIGH and len(code) > OLD_LOW - ZIMAGE_START:
        raise ImageError(f"kernel {name}: a zImage of {len(code)} bytes, more than fit below 0x90000; build a bzImage")
    return code


def load_address(header: SetupHeader, name: str) -> int:
    """Where the protected-mode part goes: a relocatable kernel's preferred address, else code32_start."""
    if not header.relocatable_kernel or not header.loadflags & LOADED_HIGH:
        start = header.code32_start
    else:
        align = header.kernel_alignment
        if not align or align & align - 1:
            raise ImageError(f"kernel {name}: kernel_alignment {align:#x} is no power of 2; the image is damaged")
        start = -(-(header.pref_address or header.code32_start) // align) * align
    if not header.loadflags & LOADED_HIGH:
        if start != ZIMAGE_START:
            raise ImageError(f"kernel {name}: a zImage that wants to be entered at {start:#x}; the image is damaged")
    elif start < e820.HIGH:
        raise ImageError(f"kernel {name}: wants to be loaded at {start:#x}, below 1 MiB; the image is damaged")
    return start


def put_initrd(layout: Layout, header: SetupHeader, data: bytes, path: Path | str) -> int:
    """Write the initrd as high as the kernel and RAM permit, at the start of a page; its address."""
    at = layout.find(len(data), low=e820.HIGH, high=header.initrd_addr_max + 1, top=True)
    if at is None:
        size, ram = -(-len(data) >> 20), layout.memory.size >> 20
        top = f"below {header.initrd_addr_max + 1:#x}, as the kernel wants it, in {ram} MiB of RAM"
        raise ImageError(f"initrd {path}: {size} MiB find no room {top}; give more with --mem or a smaller initrd")
    layout.claim(at, at + len(data), f"initrd {path}")
    layout.memory.write(at, data)
    return at


def store(params: bytearray, field: tuple[int, str], *values: int) -> None:
    """Store one field of boot_params."""
    offset, form = field
    struct.pack_into(form, params, offset, *values)


def store_screen(params: bytearray) -> None:
    """The VGA as the machine leaves it: mode 3, the cursor in the upper left corner."""
    store(params, SCREEN_MODE, MODE_3)
    store(params, SCREEN_COLUMNS, 80)
    store(params, SCREEN_EGA_BX, EGA_BX_COLOUR_256K)
    store(params, SCREEN_LINES, 25)
    store(params, SCREEN_IS_VGA, 1)
    store(params, SCREEN_POINTS, 16)


def store_memory(params: bytearray, ram: int) -> None:
    """The three ways in which boot_params tells how much memory there is."""
    upper = e820.upper_kib(ram)
    store(params, EXT_MEM_K, min(upper, 0xFFFF))
    store(params, ALT_MEM_K, upper)
    ranges = e820.memory_map(ram)
    store(params, E820_ENTRIES, len(ranges))
    for number, entry in enumerate(ranges):
        at = E820_TABLE + number * struct.calcsize(E820_ENTRY)
        struct.pack_into(E820_ENTRY, params, at, entry.start, entry.end - entry.start, entry.kind)
