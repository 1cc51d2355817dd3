# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""VGA: the registers, and which window the guest sees its memory through. vga_planes.pyx is the memory.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem" (1992), with its register
names; values of mode 3: IBM PS/2 BIOS Interface Technical Reference.

Offsets are ports less 3B0h. The CRTC and two other registers have two addresses, 3Bxh for a monochrome and 3Dxh for
a colour display; bit 0 of the miscellaneous output register says which one answers, the other floats high.
Power-on here is what a PC's firmware leaves: mode 3, 80 by 25 characters in 16 colours, a font in plane 2.

The attribute controller has one port for index and data; a flip-flop says which comes next, and a read of input
status 1 sets it back to index. Bit 5 of the index gives the palette to the display; while it is set, the CPU cannot
write there.

Input status 1 shows where the beam is. It is a function of the time only, with the timing of mode 3 (449 lines of
31.778 us) whatever the guest programs: so a guest that waits for an edge finds one within 14.3 ms. Where the clock
stands still while the guest runs (VirtualClock) each read that finds the same time as the last one moves the beam by
a microsecond, which is what an access to an ISA bus takes.

The window from A0000h to BFFFFh is device memory only where it must be. A text console's stores, and those of mode 13h,
are too many to be asked about, and the chip would do nothing but keep them: so while the registers make the window plain
(VgaPlanes.window) the guest has memory there.

    WINDOW_TEXT     nothing is mapped over RAM, and RAM is at B8000h; its bytes are moved to the planes when that ends
    WINDOW_LINEAR   an alias of video memory at A0000h, for chain 4 and for banks of a linear frame buffer
    WINDOW_CHIP     all of it is device memory

The picture is made of a snapshot, outside (ui/raster.pyx): this chip knows nothing of lines and dots but where the beam is.

Not modelled: timing by the CRTC's registers, light pen, interrupt 2, sleeping (3C3h is only kept).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.string cimport memcpy, memset

from hyperport.time.clock cimport Clock
from hyperport.bus.attributes cimport postable
from hyperport.bus.device cimport PortDevice
from hyperport.devices.vga_planes cimport (
    GRAPHICS_SIZE, PLANE_BYTES, SEQUENCER_SIZE, WINDOW_CHIP, WINDOW_LINEAR, WINDOW_TEXT, VgaPlanes, VgaWindow)
from hyperport.lines.saved cimport Fields
from hyperport.memory.map cimport MemoryMap, Region
from hyperport.memory.ram cimport TEXT, GuestMemory

from hyperport.devices.cp437 import GLYPH_LINES, glyphs
from hyperport.errors import StateError

# Where video memory is in the guest's memory, and how many bytes of it there are.
FRAME_BUFFER = 0xE0000000       # as Bochs and qemu have it without PCI
MEMORY_BYTES = 16 << 20
WINDOW = 0xA0000
WINDOW_BYTES = 128 << 10

cdef enum:
    # offsets: port - 3B0h
    MONO_CRTC_INDEX = 0x04
    MONO_CRTC_DATA = 0x05
    MONO_STATUS_1 = 0x0A        # write: feature control
    ATTRIBUTE = 0x10            # index and data by turns; read: index
    ATTRIBUTE_READ = 0x11
    MISC_WRITE = 0x12           # read: input status 0
    ENABLE = 0x13               # bit 0: video subsystem enable; kept, and nothing else
    SEQUENCER_INDEX = 0x14
    SEQUENCER_DATA = 0x15
    PEL_MASK = 0x16
    DAC_READ_INDEX = 0x17       # read: DAC state
    DAC_WRITE_INDEX = 0x18
    DAC_DATA = 0x19             # red, green, blue by turns, six bits each
    FEATURE_READ = 0x1A
    MISC_READ = 0x1C
    GRAPHICS_INDEX = 0x1E
    GRAPHICS_DATA = 0x1F
    CRTC_INDEX = 0x24
    CRTC_DATA = 0x25
    STATUS_1 = 0x2A             # write: feature control
    SPAN = 0x30

    MISC_MEMORY = 0x02          # the CPU reaches video memory
    MISC_COLOUR = 0x01          # 1: 3D4h, 3D5h and 3DAh answer; 0: 3B4h, 3B5h and 3BAh
    STATUS_0_SENSE = 0x10       # a colour display is there
    STATUS_DISPLAY_OFF = 0x01   # the beam is in a horizontal or vertical blanking interval
    STATUS_RETRACE = 0x08       # vertical retrace
    FEATURE_BITS = 0x08         # vertical sync select

    CRTC_END_RETRACE = 0x11
    PROTECT = 0x80              # of CRTC_END_RETRACE: registers 0 to 7 cannot be written
    OVERFLOW = 0x07
    LINE_COMPARE_8 = 0x10       # of OVERFLOW: not protected

    INDEX_BITS = 0x1F           # of the attribute controller
    PALETTE_ON = 0x20           # of its index: the palette is the display's, the picture is on
    PALETTE_SIZE = 16

    DAC_6_BITS = 0x3F
    DAC_8_BITS = 0xFF

    BANK_BYTES = 64 << 10       # what WINDOW_LINEAR shows
    TEXT_BYTES = 32 << 10
    BLANK = 0x0720              # a space in light grey on black, with which firmware clears the screen

    DAC_READING = 3             # DAC state: 3 after a read index, 0 after a write index

    LINE_NS = 31778             # 900 dots of 28.322 MHz
    SHOWN_NS = 25422            # 720 of them
    FRAME_NS = LINE_NS * 449    # 70.09 Hz
    PICTURE_NS = LINE_NS * 400
    RETRACE_NS = LINE_NS * 412
    RETRACE_END_NS = LINE_NS * 414
    ACCESS_NS = 1000

# Mode 3 as firmware sets it, and which bits of each register exist.
cdef uint8_t[CRTC_SIZE] CRTC_MODE_3 = [
    0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
    0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF]
cdef uint8_t[CRTC_SIZE] CRTC_BITS = [
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0x3F, 0x7F, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xEF, 0xFF]
cdef uint8_t[SEQUENCER_SIZE] SEQUENCER_MODE_3 = [0x03, 0x00, 0x03, 0x00, 0x02]
cdef uint8_t[SEQUENCER_SIZE] SEQUENCER_BITS = [0x03, 0x3D, 0x0F, 0x3F, 0x0E]
cdef uint8_t[GRAPHICS_SIZE] GRAPHICS_MODE_3 = [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF]
cdef uint8_t[GRAPHICS_SIZE] GRAPHICS_BITS = [0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF]
cdef uint8_t[ATTRIBUTE_SIZE] ATTRIBUTE_MODE_3 = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F,
    0x0C, 0x00, 0x0F, 0x08, 0x00]
cdef uint8_t[ATTRIBUTE_SIZE] ATTRIBUTE_BITS = [
    0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F,
    0xEF, 0xFF, 0x3F, 0x0F, 0x0F]
cdef enum:
    MISC_MODE_3 = 0x67


cdef class Vga(PortDevice):
    """clock: by whose time the beam moves. memory: where its own is put, at FRAME_BUFFER, and whose RAM text is in."""

    name = "vga"
    span = SPAN
    memory_span = WINDOW_BYTES

    def __init__(self, Clock clock not None, GuestMemory memory not None):
        cdef MemoryMap map = memory.map
        self.clock = clock
        self.memory = memory
        self.frame = map.ram("vga-memory", FRAME_BUFFER, MEMORY_BYTES)
        self.linear = map.alias("vga-linear", WINDOW, BANK_BYTES, self.frame)
        self.linear.unmap()
        self.low = self.high = None
        self.planes = VgaPlanes(self.frame)
        self.window = WINDOW_TEXT
        self.reset()

    def connect(self, Region low not None, Region high not None):
        """The two halves of its window, as the bus has attached them."""
        self.low, self.high = low, high
        self.show_window()

    def reset(self):
        cdef int i
        cdef bytes font = glyphs()
        self.misc, self.enable, self.feature = MISC_MODE_3, 1, 0
        self.crtc_index = self.sequencer_index = self.graphics_index = 0
        self.attribute_index = PALETTE_ON
        self.data_next = False
        memcpy(self.crtc, &CRTC_MODE_3[0], CRTC_SIZE)
        memcpy(self.sequencer, &SEQUENCER_MODE_3[0], SEQUENCER_SIZE)
        memcpy(self.graphics, &GRAPHICS_MODE_3[0], GRAPHICS_SIZE)
        memcpy(self.attribute, &ATTRIBUTE_MODE_3[0], ATTRIBUTE_SIZE)
        self.pel_mask = 0xFF
        memset(self.dac, 0, DAC_SIZE)
        for i in range(64):         # the colours of an EGA: bits 2 to 0 are 2/3 of red, green, blue, bits 5 to 3 1/3
            self.dac[3 * i] = 0x2A * (i >> 2 & 1) + 0x15 * (i >> 5 & 1)
            self.dac[3 * i + 1] = 0x2A * (i >> 1 & 1) + 0x15 * (i >> 4 & 1)
            self.dac[3 * i + 2] = 0x2A * (i & 1) + 0x15 * (i >> 3 & 1)
        self.dac_index = self.dac_write_index = self.dac_state = 0
        memset(self.dac_latch, 0, 3)
        self.dac_bits = DAC_6_BITS
        self.polled_at = self.clock.now()
        self.beam_lead = 0
        self.planes.latches = self.planes.bank = 0
        self.banked, self.bank = False, 0
        self.planes.clear(<size_t> MEMORY_BYTES)
        self.planes.set_font(<const uint8_t *> PyBytes_AsString(font), <uint32_t> GLYPH_LINES)
        for i in range(TEXT_BYTES // 2):
            (<uint16_t *> (self.memory.base + TEXT))[i] = BLANK
        self.text_written()
        self.decode()
        self.window = self.wanted()
        self.show_window()

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset < ATTRIBUTE or offset >= SPAN - 0x10:
            return self.read_crtc(offset)
        if offset == ATTRIBUTE:
            return self.attribute_index
        if offset == ATTRIBUTE_READ:
            return self.attribute[self.attribute_index & INDEX_BITS] if self.has_attribute() else 0
        if offset == MISC_WRITE:
            return STATUS_0_SENSE
        if offset == ENABLE:
            return self.enable
        if offset == SEQUENCER_INDEX:
            return self.sequencer_index
        if offset == SEQUENCER_DATA:
            return self.sequencer[self.sequencer_index] if self.sequencer_index < SEQUENCER_SIZE else 0
        if offset == PEL_MASK:
            return self.pel_mask
        if offset == DAC_READ_INDEX:
            return self.dac_state
        if offset == DAC_WRITE_INDEX:
            return self.dac_write_index
        if offset == DAC_DATA:
            return self.read_dac()
        if offset == FEATURE_READ:
            return self.feature
        if offset == MISC_READ:
            return self.misc
        if offset == GRAPHICS_INDEX:
            return self.graphics_index
        if offset == GRAPHICS_DATA:
            return self.graphics[self.graphics_index] if self.graphics_index < GRAPHICS_SIZE else 0
        return 0xFF

    cdef uint32_t read_crtc(self, uint32_t offset) noexcept nogil:
        offset = self.crtc_offset(offset)
        if offset == CRTC_INDEX:
            return self.crtc_index
        if offset == CRTC_DATA:
            return self.crtc[self.crtc_index] if self.crtc_index < CRTC_SIZE else 0
        if offset == STATUS_1:
            return self.read_status_1()
        return 0xFF

    cdef uint32_t crtc_offset(self, uint32_t offset) noexcept nogil:
        """The colour address of a register at 3Bxh or 3Dxh; 0 if that address does not answer now."""
        if offset < ATTRIBUTE:
            return 0 if self.misc & MISC_COLOUR else offset + 0x20
        return offset if self.misc & MISC_COLOUR else 0

    cdef uint32_t read_status_1(self) noexcept nogil:
        cdef uint64_t now = self.clock.now()
        cdef uint64_t beam
        if now == self.polled_at:
            self.beam_lead = (self.beam_lead + ACCESS_NS) % FRAME_NS
        self.polled_at = now
        self.data_next = False
        beam = (now + self.beam_lead) % FRAME_NS
        return ((STATUS_DISPLAY_OFF if beam >= PICTURE_NS or beam % LINE_NS >= SHOWN_NS else 0)
                | (STATUS_RETRACE if RETRACE_NS <= beam < RETRACE_END_NS else 0))

    cdef uint32_t read_dac(self) noexcept nogil:
        cdef uint8_t value = self.dac[self.dac_index]
        self.step_dac()
        return value

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t byte = <uint8_t> value
        if offset < ATTRIBUTE or offset >= SPAN - 0x10:
            self.write_crtc(offset, byte)
        elif offset == ATTRIBUTE:
            self.write_attribute(byte)
        elif offset == MISC_WRITE:
            self.misc = byte
            self.programmed()
        elif offset == ENABLE:
            self.enable = byte
        elif offset == SEQUENCER_INDEX:
            self.sequencer_index = byte & 7
        elif offset == SEQUENCER_DATA:
            if self.sequencer_index < SEQUENCER_SIZE:
                self.sequencer[self.sequencer_index] = byte & SEQUENCER_BITS[self.sequencer_index]
                self.programmed()
        elif offset == PEL_MASK:
            self.pel_mask = byte
        elif offset == DAC_READ_INDEX:
            self.dac_index = 3 * <uint32_t> byte
            self.dac_write_index = byte + 1
            self.dac_state = DAC_READING
        elif offset == DAC_WRITE_INDEX:
            self.dac_index = 3 * <uint32_t> byte
            self.dac_write_index = byte
            self.dac_state = 0
        elif offset == DAC_DATA:
            self.write_dac(byte)
        elif offset == GRAPHICS_INDEX:
            self.graphics_index = byte & 0xF
        elif offset == GRAPHICS_DATA and self.graphics_index < GRAPHICS_SIZE:
            self.graphics[self.graphics_index] = byte & GRAPHICS_BITS[self.graphics_index]
            self.programmed()

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        """No store to memory comes between the elements, so of what decides about memory the last one counts."""
        if count and (offset == MISC_WRITE or offset == SEQUENCER_DATA or offset == GRAPHICS_DATA):
            self.io_write(offset, 1, data[count - 1])
        else:
            PortDevice.io_write_block(self, offset, size, count, data)

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """Indices, and the DAC: what they change can be seen on the screen and by another access. The data of sequencer and
        graphics controller change what a store to video memory does, which is no access to a port."""
        return postable(1) if offset in (SEQUENCER_INDEX, GRAPHICS_INDEX, CRTC_INDEX, MONO_CRTC_INDEX, PEL_MASK, DAC_READ_INDEX,
                                         DAC_WRITE_INDEX, DAC_DATA) else 0

    cdef void write_crtc(self, uint32_t offset, uint8_t byte) noexcept nogil:
        cdef uint8_t *kept
        offset = self.crtc_offset(offset)
        if offset == CRTC_INDEX:
            self.crtc_index = byte & INDEX_BITS
        elif offset == STATUS_1:
            self.feature = byte & FEATURE_BITS
        elif offset == CRTC_DATA and self.crtc_index < CRTC_SIZE:
            kept = &self.crtc[self.crtc_index]
            if self.crtc_index <= OVERFLOW and self.crtc[CRTC_END_RETRACE] & PROTECT:
                if self.crtc_index == OVERFLOW:
                    kept[0] = kept[0] & ~LINE_COMPARE_8 | byte & LINE_COMPARE_8
            else:
                kept[0] = byte & CRTC_BITS[self.crtc_index]

    cdef void write_attribute(self, uint8_t byte) noexcept nogil:
        cdef uint8_t index = self.attribute_index & INDEX_BITS
        if not self.data_next:
            self.attribute_index = byte & (INDEX_BITS | PALETTE_ON)
        elif self.has_attribute() and not (index < PALETTE_SIZE and self.attribute_index & PALETTE_ON):
            self.attribute[index] = byte & ATTRIBUTE_BITS[index]
        self.data_next = not self.data_next

    cdef void write_dac(self, uint8_t byte) noexcept nogil:
        cdef uint32_t component = self.dac_index % 3
        self.dac_latch[component] = byte & self.dac_bits
        if component == 2:
            memcpy(&self.dac[self.dac_index - 2], self.dac_latch, 3)
        self.step_dac()

    cdef uint32_t mem_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef uint32_t value = 0, i
        for i in range(size):
            value |= <uint32_t> self.planes.load_byte(offset + i) << 8 * i
        return value

    cdef void mem_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint32_t i
        for i in range(size):
            self.planes.store_byte(offset + i, <uint8_t> (value >> 8 * i))

    # Side effects.

    cdef void decode(self) noexcept nogil:
        self.planes.program(self.sequencer, self.graphics, self.misc & MISC_MEMORY)

    cdef VgaWindow wanted(self) noexcept nogil:
        return WINDOW_LINEAR if self.banked else self.planes.window

    cdef void programmed(self) noexcept nogil:
        """A register has changed that the way to memory depends on."""
        cdef VgaWindow wanted
        self.decode()
        wanted = self.wanted()
        if wanted == self.window:
            return
        if self.window == WINDOW_TEXT:
            self.planes.text_in(self.memory.base + TEXT)
        if wanted == WINDOW_TEXT:
            self.planes.text_out(self.memory.base + TEXT)
            self.text_written()
        self.window = wanted
        self.show_window()

    cdef void show_window(self) noexcept nogil:
        """Let the guest see what self.window says."""
        if self.low is None:        # of no machine
            return
        if self.window == WINDOW_TEXT:
            self.high.switch_off()
        if self.window != WINDOW_CHIP:
            self.low.switch_off()
        if self.window == WINDOW_LINEAR:
            self.linear.slide(<uint64_t> self.bank * BANK_BYTES)
            self.linear.switch_on()
        else:
            self.linear.switch_off()
        if self.window == WINDOW_CHIP:
            self.low.switch_on()
        if self.window != WINDOW_TEXT:
            self.high.switch_on()

    cdef void text_written(self) noexcept nogil:
        self.memory.map.invalidate(self.memory.map.invalidate_context, self.memory.base + TEXT, TEXT_BYTES)

    cdef void banks(self, bint linear, uint32_t bank, uint32_t offsets, bint wide_dac, bint moves) noexcept nogil:
        """What an extension makes of the window (vbe_dispi.pyx).

        linear: the window is this bank of 64 KiB of video memory; else offsets are added to those of the planes.
        wide_dac: colours have eight bits. moves: not as a saved state comes back, where all is in its place.
        """
        self.planes.bank = offsets
        self.dac_bits = DAC_8_BITS if wide_dac else DAC_6_BITS
        self.banked, self.bank = linear, bank
        if moves:
            self.programmed()
        else:
            self.window = self.wanted()
        self.show_window()

    cdef bint has_attribute(self) noexcept nogil:
        return self.attribute_index & INDEX_BITS < ATTRIBUTE_SIZE

    cdef void step_dac(self) noexcept nogil:
        """On to the next component; after the third the index counts up."""
        self.dac_index = (self.dac_index + 1) % DAC_SIZE
        if self.dac_index % 3 == 0:
            self.dac_write_index += 1

    @property
    def guest_memory(self):
        """Where text is while its window is plain, and whose map has video memory."""
        return self.memory

    # For whoever makes a picture; may be called at any time, from any thread.

    def registers(self):
        """The register files by name, as save() has them."""
        return {
            "crtc": bytes(self.crtc[:CRTC_SIZE]), "sequencer": bytes(self.sequencer[:SEQUENCER_SIZE]),
            "graphics": bytes(self.graphics[:GRAPHICS_SIZE]), "attribute": bytes(self.attribute[:ATTRIBUTE_SIZE]),
            "attribute_index": self.attribute_index, "pel_mask": self.pel_mask, "dac": bytes(self.dac[:DAC_SIZE]),
            "dac_bits": 8 if self.dac_bits == DAC_8_BITS else 6,
        }

    def plane_bytes(self):
        """The planes: four bytes, of planes 0 to 3, for each of 65,536 offsets."""
        cdef bytes copied = PyBytes_FromStringAndSize(NULL, 4 * PLANE_BYTES)
        cdef uint8_t *planes = <uint8_t *> PyBytes_AsString(copied)
        cdef const uint8_t *text = self.memory.base + TEXT
        cdef uint32_t offset
        self.planes.copy(<uint32_t *> planes)
        if self.window == WINDOW_TEXT:
            for offset in range(0, <uint32_t> TEXT_BYTES, 2):
                planes[4 * offset], planes[4 * offset + 1] = text[offset], text[offset + 1]
        return copied

    cdef declare(self, Fields fields):
        fields.u8("misc", &self.misc)
        fields.u8("enable", &self.enable)
        fields.u8("feature", &self.feature, FEATURE_BITS)
        fields.u8("crtc_index", &self.crtc_index, INDEX_BITS)
        fields.masked("crtc", self.crtc, CRTC_SIZE, CRTC_BITS)
        fields.u8("sequencer_index", &self.sequencer_index, 7)
        fields.masked("sequencer", self.sequencer, SEQUENCER_SIZE, SEQUENCER_BITS)
        fields.u8("graphics_index", &self.graphics_index, 0xF)
        fields.masked("graphics", self.graphics, GRAPHICS_SIZE, GRAPHICS_BITS)
        fields.u8("attribute_index", &self.attribute_index, INDEX_BITS | PALETTE_ON)
        fields.masked("attribute", self.attribute, ATTRIBUTE_SIZE, ATTRIBUTE_BITS)
        fields.flag("data_next", &self.data_next)
        fields.u8("pel_mask", &self.pel_mask)
        fields.u8s("dac", self.dac, DAC_SIZE, DAC_8_BITS)
        fields.u32("dac_index", &self.dac_index)
        fields.u8("dac_write_index", &self.dac_write_index)
        fields.u8("dac_state", &self.dac_state, DAC_READING)
        fields.u8s("dac_latch", self.dac_latch, 3, DAC_8_BITS)
        fields.u32("latches", &self.planes.latches)
        fields.u64("beam_lead", &self.beam_lead)
        fields.derived("just_polled", 1)

    cdef dict derived(self):
        return {"just_polled": int(self.polled_at == self.clock.now())}

    cdef consistent(self, dict record):
        if (record["dac_index"] >= DAC_SIZE or record["dac_state"] not in (0, DAC_READING)
                or record["beam_lead"] >= FRAME_NS):
            raise StateError(f"{self.name}: field dac_index, dac_state or beam_lead is out of range")

    cdef after_load(self, dict record):
        self.polled_at = self.clock.now() if record["just_polled"] else <uint64_t> -1
        self.decode()
        self.window = self.wanted()         # its memory and the guest's are as they were saved: nothing moves
        self.show_window()
