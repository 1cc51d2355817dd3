# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The display interface of Bochs (VBE DISPI): a linear frame buffer in video memory, set by eleven words.

Source: Bochs, "VBE Display API" (DISPI, versions B0C0h to B0C5h); QEMU, docs/specs/standard-vga, for what it adds:
registers that may be set while the display is on. SeaVGABIOS's VBE modes are made of it.

Port 1CEh selects a register, 1CFh is its data, both of them words. The display is off at first, and the VGA shows
what its own registers say; while it is on, they do not matter for the picture but for colours (DAC and its mask).

The frame buffer is at vga.FRAME_BUFFER, whether a guest asks for it or not. The window at A0000h shows a bank of 64 KiB
of it too; with 4 bits a pixel it is that of the VGA's planes, whose offsets the bank is added to.

Not modelled: version-dependent behaviour (the ID is only kept), the DDC register.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from hyperport.bus.device cimport PortDevice
from hyperport.devices.vga cimport Vga
from hyperport.devices.vga_planes cimport PLANE_BYTES, place
from hyperport.lines.saved cimport Fields

from hyperport.devices.vga import MEMORY_BYTES

cdef enum:
    INDEX = 0               # offsets: port - 1CEh
    DATA = 1
    REST = 2                # where the word at DATA ends

    ID = 0x0                # registers
    X_RESOLUTION = 0x1      # pixels
    Y_RESOLUTION = 0x2
    BITS_PER_PIXEL = 0x3    # 4, 8, 15, 16, 24, 32
    ENABLE = 0x4
    BANK = 0x5
    VIRTUAL_WIDTH = 0x6     # pixels from a line to the next
    VIRTUAL_HEIGHT = 0x7    # lines that fit into memory: read only
    X_OFFSET = 0x8          # of the picture's first pixel
    Y_OFFSET = 0x9
    MEMORY_SIZE = 0xA       # in units of 64 KiB: read only

    FIRST_ID = 0xB0C0
    LAST_ID = 0xB0C5
    ENABLED = 0x01          # of ENABLE
    GET_CAPABILITIES = 0x02     # X_, Y_RESOLUTION and BITS_PER_PIXEL read as what they may be at most
    WIDE_DAC = 0x20         # eight bits a component
    FRAME_BUFFER = 0x40     # the guest wants to use it
    KEEP_MEMORY = 0x80      # do not clear the picture when the display is switched on
    WORD = 0xFFFF

    MOST_X = 2560
    MOST_Y = 1600
    MOST_BITS = 32
    LEAST_X = 8
    BANKS_SHIFT = 16

cdef uint32_t MEMORY = MEMORY_BYTES


cdef class VbeDispi(PortDevice):
    """vga: whose memory it shows."""

    name = "vbe-dispi"
    span = 3
    widths = (2,)
    widths_at = {REST: (1,)}

    def __init__(self, Vga vga not None):
        self.vga = vga
        self.reset()

    def reset(self):
        self.index = 0
        memset(self.values, 0, sizeof(self.values))
        self.values[ID] = LAST_ID
        self.values[MEMORY_SIZE] = MEMORY >> BANKS_SHIFT
        self.tell(True)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset == REST:
            return 0xFF
        return self.index if offset == INDEX else self.read_register()

    cdef uint32_t read_register(self) noexcept nogil:
        if self.index >= REGISTERS:
            return 0
        if self.values[ENABLE] & GET_CAPABILITIES:
            if self.index == X_RESOLUTION:
                return MOST_X
            if self.index == Y_RESOLUTION:
                return MOST_Y
            if self.index == BITS_PER_PIXEL:
                return MOST_BITS
        return self.values[self.index]

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        if offset == INDEX:
            self.index = value & WORD
        elif offset == DATA:
            self.write_register(value & WORD)

    cdef void write_register(self, uint32_t value) noexcept nogil:
        if self.index == ID:
            if FIRST_ID <= value <= LAST_ID:
                self.values[ID] = value
        elif self.index == ENABLE:
            self.switch(value)
        elif self.index == BANK:
            self.values[BANK] = value & ((MEMORY >> BANKS_SHIFT) - 1)
            self.tell(True)
        elif self.index in (X_RESOLUTION, Y_RESOLUTION, BITS_PER_PIXEL, VIRTUAL_WIDTH, X_OFFSET, Y_OFFSET):
            self.values[self.index] = value
            if self.values[ENABLE] & ENABLED:
                self.fit()
                self.tell(True)

    # Side effects.

    cdef void switch(self, uint32_t value) noexcept nogil:
        """The display on or off, with whatever else ENABLE says."""
        cdef bint was_on = self.values[ENABLE] & ENABLED
        self.values[ENABLE] = value & (ENABLED | GET_CAPABILITIES | WIDE_DAC | FRAME_BUFFER | KEEP_MEMORY)
        if value & ENABLED and not was_on:
            self.values[VIRTUAL_WIDTH] = self.values[X_OFFSET] = self.values[Y_OFFSET] = 0
            self.fit()
        elif not value & ENABLED:
            self.values[BANK] = 0
        self.tell(True)
        if value & ENABLED and not was_on and not value & KEEP_MEMORY:
            self.clear_picture()

    cdef void fit(self) noexcept nogil:
        """Bring geometry to what can be shown: each value to the nearest one that there is, as qemu does it."""
        cdef uint64_t lines
        if self.values[BITS_PER_PIXEL] not in (4, 8, 15, 16, 24, 32):
            self.values[BITS_PER_PIXEL] = 8
        self.values[X_RESOLUTION] = max(<uint32_t> LEAST_X, min(self.values[X_RESOLUTION], <uint32_t> MOST_X))
        self.values[X_RESOLUTION] &= ~<uint32_t> 7
        self.values[Y_RESOLUTION] = max(<uint32_t> 1, min(self.values[Y_RESOLUTION], <uint32_t> MOST_Y))
        self.values[VIRTUAL_WIDTH] = max(self.values[VIRTUAL_WIDTH] & ~<uint32_t> 7, self.values[X_RESOLUTION])
        lines = MEMORY // self.line_bytes()
        if lines < self.values[Y_RESOLUTION]:       # so wide that the picture would end behind memory
            self.values[VIRTUAL_WIDTH] = self.values[X_RESOLUTION]
            lines = MEMORY // self.line_bytes()
        self.values[VIRTUAL_HEIGHT] = <uint32_t> min(lines, <uint64_t> WORD)
        self.values[X_OFFSET] = min(self.values[X_OFFSET], self.values[VIRTUAL_WIDTH] - self.values[X_RESOLUTION])
        self.values[Y_OFFSET] = min(self.values[Y_OFFSET], self.values[VIRTUAL_HEIGHT] - self.values[Y_RESOLUTION])

    cdef uint64_t line_bytes(self) noexcept nogil:
        """From a line to the next; with 4 bits a pixel, in all planes together."""
        cdef uint32_t bits = self.values[BITS_PER_PIXEL]
        return <uint64_t> self.values[VIRTUAL_WIDTH] * (16 if bits == 15 else bits) // 8

    cdef void clear_picture(self) noexcept nogil:
        cdef uint64_t length = min(self.line_bytes() * self.values[Y_RESOLUTION], <uint64_t> MEMORY)
        if self.values[BITS_PER_PIXEL] == 4:        # in an order of their own, which whole planes do not show
            length = min(MEMORY, (length + 4 * PLANE_BYTES - 1) & ~<uint64_t> (4 * PLANE_BYTES - 1))
        self.vga.planes.clear(length)

    cdef void tell(self, bint moves) noexcept nogil:
        """Let the VGA know what its window is."""
        cdef bint on = self.values[ENABLE] & ENABLED
        cdef bint planar = on and self.values[BITS_PER_PIXEL] == 4
        self.vga.banks(on and not planar, self.values[BANK], self.values[BANK] * PLANE_BYTES if planar else 0,
                       self.values[ENABLE] & WIDE_DAC, moves)

    # For whoever makes a picture; may be called at any time, from any thread.

    def frame(self):
        """What is shown: (width, height, bits per pixel, the pixels line by line as in memory); None: the VGA's own.

        A pixel has 1, 2, 3 or 4 bytes, lowest first; one of 4 bits has a byte too.
        """
        cdef uint32_t values[REGISTERS]
        cdef uint32_t width, height, bits, size, x, y, line, at, planes
        cdef uint64_t pitch, begin
        cdef bytes copied
        cdef uint8_t *pixels
        cdef const uint8_t *memory = self.vga.frame.host()
        memcpy(values, self.values, sizeof(values))     # the guest may change them meanwhile, and leave any mixture
        width = min(values[X_RESOLUTION], <uint32_t> MOST_X)
        height = min(values[Y_RESOLUTION], <uint32_t> MOST_Y)
        bits = values[BITS_PER_PIXEL]
        if not values[ENABLE] & ENABLED or not width or not height or bits not in (4, 8, 15, 16, 24, 32):
            return None
        size = (bits + 7) // 8
        pitch = <uint64_t> values[VIRTUAL_WIDTH] * size
        copied = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> width * height * size)
        pixels = <uint8_t *> PyBytes_AsString(copied)
        for y in range(height):
            line = values[Y_OFFSET] + y
            if bits == 4:
                for x in range(width):
                    at = line * (values[VIRTUAL_WIDTH] // 8) + (values[X_OFFSET] + x) // 8
                    planes = self.vga.planes.dwords[place(at & self.vga.planes.last)] >> (7 - (values[X_OFFSET] + x) % 8)
                    pixels[y * width + x] = (planes & 1) | (planes >> 7 & 2) | (planes >> 14 & 4) | (planes >> 21 & 8)
                continue
            begin = min(line * pitch + values[X_OFFSET] * size, MEMORY - <uint64_t> width * size)
            memcpy(pixels + <uint64_t> y * width * size, memory + begin, width * size)
        return width, height, bits, copied

    cdef declare(self, Fields fields):
        fields.u32("index", &self.index, WORD)
        fields.u32s("values", self.values, REGISTERS, WORD)

    cdef after_load(self, dict record):
        self.values[ID] = max(<uint32_t> FIRST_ID, min(self.values[ID], <uint32_t> LAST_ID))
        self.values[MEMORY_SIZE] = MEMORY >> BANKS_SHIFT
        self.values[BANK] &= (MEMORY >> BANKS_SHIFT) - 1
        if self.values[ENABLE] & ENABLED:
            self.fit()
        self.tell(False)
