# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""DP8390 network interface controller, the chip of the NE2000 and of many other cards.

Sources: National Semiconductor DP8390D/NS32490D datasheet (July 1995), with its names and section numbers; AN-937 (July
1994) for loopback. The register map is in dp8390.pxd. The card around it (ne2000.pyx) has memory and data port.

Remote DMA (9.0) moves data between memory and the data port: address in RSAR, count in RBCR, then CR, then the data port
until the count is 0, which sets RDC. At PSTOP the address goes on at PSTART. "Send packet" reads the packet at BNRY
without being told address or count. Here any number of bytes is a few copies of memory, cut where the address jumps.

The receive ring (7.0) is the pages of 256 bytes from PSTART to before PSTOP. CURR is the page where the next packet goes,
BNRY the one that the chip must not enter: the guest's last page read. A packet begins with a header of four bytes
(receive status, page of the next packet, count of bytes with the FCS, low byte first), then comes the frame and its FCS.
CURR moves when the packet is whole. A packet that would reach BNRY is an overflow: it is lost (OVW, RXE, RST, tally of
missed packets), and nothing is received until the guest has moved BNRY (7.0 tells how a driver does that).

A paced backend's frames wait for room instead, and come 50 us after the guest has moved BNRY: Linux empties the ring and
then clears PRX, also for packets that it has not seen. So PRX is set again if it is clear while the ring is full and a frame
waits; on a real cable an overflow would tell the guest. And a cable has a speed, since faster frames keep Linux in its
interrupt handler, where it drops what it has no time for: a paced one 100 Mbit/s after the first 8 long frames, an unpaced
one Ethernet's 10 Mbit/s with preamble and gap, after the first 4. On that a guest that reads loses nothing; one that stays
away for 4 long frames more overflows, as a real one does.

Transmission (8.0) takes no time and meets no collisions. To a busy host a frame is offered every 500 us with TXP still
set; after 32 ms it is given up (ABT). In loopback no frame leaves or arrives; what came round is seen in RSR and the FIFO.

Not modelled: FIFO thresholds and underruns, the test page, addresses of 32 bits (DCR.LAS). The backend pads short frames.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from hyperport.time.clock cimport Clock, Timer
from hyperport.host.ethernet cimport crc_of, filter_index, is_broadcast
from hyperport.host.packet cimport DAMAGE_ALIGNMENT, DAMAGE_NONE, MOST_FRAME, QUEUE_FRAMES, Frame, PacketBackend
from hyperport.bus.attributes cimport postable
from hyperport.bus.device cimport PortDevice
from hyperport.devices.dp8390_fifo cimport FIFO_SIZE, pass_through, read_fifo
from hyperport.devices.dp8390_ring cimport FCS, HEADER, PAGE, fits, page_after, page_behind
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields

from hyperport.errors import StateError

cdef int64_t MOST = (<int64_t> 1 << 62) - 1 + (<int64_t> 1 << 62)     # of a time in ns
cdef uint64_t RETRY_NS = 500_000
cdef uint64_t[2] OCTET_NS = [800, 80]   # unpaced, paced: the chip's own 10 Mbit/s, and ten times that
cdef uint64_t[2] BURST_NS = [4_000_000, 1_000_000]      # what may come at once, counted in the cable's time
cdef uint64_t[2] AROUND = [24, 0]       # octets before, between and after frames: preamble, gap, FCS (IEEE 802.3, 4.4)
cdef uint8_t[4] LOOPBACK_TSR = [0, TSR_PTX | TSR_CRS | TSR_CDH, TSR_PTX | TSR_CDH, TSR_PTX]    # by mode (AN-937, 6.1)


cdef uint32_t IS_PARAMETER = (      # of page 0, write
    1 << TSR_TPSR | 1 << NCR_TBCR0 | 1 << FIFO_TBCR1 | 1 << RSAR0 | 1 << RSAR1 | 1 << RBCR0 | 1 << RBCR1)


cdef class Dp8390(PortDevice):
    """clock: paces offers to a busy host. irq: the interrupt output. backend: the cable. Base of cards with this chip."""

    name = "dp8390"
    span = 16

    def __init__(self, Clock clock not None, IrqLine irq=None, PacketBackend backend=None):
        self.clock = clock
        self.irq = IrqLine() if irq is None else irq
        self.backend = PacketBackend() if backend is None else backend
        self.retry = Timer(clock, self, RETRY)
        self.arrival = Timer(clock, self, ARRIVAL)
        self.reset()

    def reset(self):
        self.isr = self.dcr = self.tcr = self.rcr = self.tsr = self.rsr = 0
        self.tpsr = 0
        memset(&self.ring, 0, sizeof(self.ring))
        self.tbcr = self.clda = self.remote_address = self.remote_count = 0
        self.remote_next = 0
        memset(self.par, 0, sizeof(self.par))
        memset(self.mar, 0, sizeof(self.mar))
        memset(self.tallies, 0, sizeof(self.tallies))
        memset(&self.fifo, 0, sizeof(self.fifo))
        self.reset_pin()

    cdef void reset_pin(self) noexcept nogil:
        """What the RESET input does (10.3, the table at its end); all else keeps its value."""
        self.cr = CR_STP | CR_ABORT
        self.publish_parameters()
        self.isr |= ISR_RST
        self.imr = 0
        self.dcr |= DCR_LAS
        self.tcr &= ~TCR_LOOP
        self.remote = 0
        self.running = self.overflowed = self.held = False
        self.cable_free = 0
        self.arrival.disarm()
        self.end_offers()
        self.update_irq()

    # Read.

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset == CR:
            return self.cr | (CR_TXP if self.offers else 0)
        if self.cr >> CR_PAGE == 0:
            return self.read_page0(offset)
        if self.cr >> CR_PAGE == 1:
            if offset < CURR:
                return self.par[offset - PAR0]
            return self.ring.curr if offset == CURR else self.mar[offset - MAR0]
        return self.read_page2(offset) if self.cr >> CR_PAGE == 2 else 0xFF

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        cdef uint32_t i
        for i in range(count):
            data[i] = <uint8_t> Dp8390.io_read(self, offset, 1)

    cdef uint32_t read_page0(self, uint32_t offset) noexcept nogil:
        cdef uint8_t value
        if offset == CLDA0:
            return self.clda & 0xFF
        if offset == CLDA1:
            return self.clda >> 8
        if offset == BNRY:
            return self.ring.bnry
        if offset == TSR_TPSR:
            return self.tsr
        if offset == NCR_TBCR0:
            return 0
        if offset == FIFO_TBCR1:
            return read_fifo(&self.fifo)
        if offset == ISR:
            return self.isr
        if offset == RSAR0:
            return self.remote_address & 0xFF
        if offset == RSAR1:
            return self.remote_address >> 8
        if offset == RSR_RCR:
            return self.rsr
        if offset >= CNTR0_TCR:
            value = self.tallies[offset - CNTR0_TCR]
            self.tallies[offset - CNTR0_TCR] = 0
            return value
        return 0xFF

    cdef uint32_t read_page2(self, uint32_t offset) noexcept nogil:
        """The configuration, as the guest wrote it to page 0; the upper bits that do not exist read 1."""
        if offset == PSTART:
            return self.ring.pstart
        if offset == PSTOP:
            return self.ring.pstop
        if offset == 3:
            return self.remote_next
        if offset == TSR_TPSR:
            return self.tpsr
        if offset == RSR_RCR:
            return self.rcr | ~RCR_BITS & 0xFF
        if offset == CNTR0_TCR:
            return self.tcr | ~TCR_BITS & 0xFF
        if offset == CNTR1_DCR:
            return self.dcr | ~DCR_BITS & 0xFF
        if offset == CNTR2_IMR:
            return self.imr | ISR_RST
        return 0xFF

    # Write.

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        if offset == CR:
            self.write_cr(<uint8_t> value)
        elif self.cr >> CR_PAGE == 0:
            self.write_page0(offset, <uint8_t> value)
        elif self.cr >> CR_PAGE == 1:
            if offset < CURR:
                self.par[offset - PAR0] = <uint8_t> value
            elif offset == CURR:
                self.ring.curr = <uint8_t> value
            else:
                self.mar[offset - MAR0] = <uint8_t> value
            self.pull()

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint32_t i
        for i in range(count):
            Dp8390.io_write(self, offset, 1, data[i])

    cdef void write_page0(self, uint32_t offset, uint8_t value) noexcept nogil:
        if IS_PARAMETER >> offset & 1:
            self.write_parameter(offset, value)
        elif offset == CNTR1_DCR:
            self.dcr = value & DCR_BITS
        elif offset == CNTR2_IMR:
            self.imr = value & ~ISR_RST
            self.update_irq()
        else:
            self.write_reception(offset, value)

    cdef void write_reception(self, uint32_t offset, uint8_t value) noexcept nogil:
        """The registers of page 0 that decide whether a waiting frame can be received."""
        if offset == PSTART:
            self.ring.pstart = value
        elif offset == PSTOP:
            self.ring.pstop = value
        elif offset == BNRY:
            self.write_bnry(value)
        elif offset == RSR_RCR:
            self.rcr = value & RCR_BITS
        elif offset == CNTR0_TCR:
            self.tcr = value & TCR_BITS
        elif offset == ISR:
            self.isr &= ~value | ISR_RST
            self.update_irq()           # the line is low for a moment: the PIC may want an edge
            self.resume()
        self.pull()

    cdef void write_parameter(self, uint32_t offset, uint8_t value) noexcept nogil:
        """Of the next transmission or remote DMA: nothing happens."""
        if offset == TSR_TPSR:
            self.tpsr = value
        elif offset == NCR_TBCR0:
            self.tbcr = self.tbcr & 0xFF00 | value
        elif offset == FIFO_TBCR1:
            self.tbcr = self.tbcr & 0xFF | <uint16_t> value << 8
        elif offset == RSAR0:
            self.remote_address = self.remote_address & 0xFF00 | value
        elif offset == RSAR1:
            self.remote_address = self.remote_address & 0xFF | <uint16_t> value << 8
        elif offset == RBCR0:
            self.remote_count = self.remote_count & 0xFF00 | value
        else:
            self.remote_count = self.remote_count & 0xFF | <uint16_t> value << 8

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """Parameters of page 0 wait for the command."""
        return postable(1) if offset < 16 and self.cr >> CR_PAGE == 0 and IS_PARAMETER >> offset & 1 else 0

    cdef void publish_parameters(self) noexcept nogil:
        cdef uint32_t offset
        for offset in range(TSR_TPSR, RBCR1 + 1):
            self.publish(offset)

    cdef void write_cr(self, uint8_t value) noexcept nogil:
        cdef uint8_t page = self.cr >> CR_PAGE
        self.cr = value & ~CR_TXP
        if (page == 0) != (self.cr >> CR_PAGE == 0):
            self.publish_parameters()
        if value & CR_STP:
            self.running = False
            self.isr |= ISR_RST
            self.end_offers()           # a frame that the host has not taken yet is lost: software sends it again (7.0)
        elif value & CR_STA:
            self.running = True
            if not self.overflowed:
                self.isr &= ~ISR_RST
        if value & CR_ABORT:
            self.remote = 0
        elif value & CR_RD:
            self.start_remote(value & CR_RD)
        if value & CR_TXP and self.running and not self.offers:
            self.start_transmit()
        self.pull()

    cdef void write_bnry(self, uint8_t value) noexcept nogil:
        self.ring.bnry = value
        if self.overflowed:
            self.overflowed = False
            if self.running:
                self.isr &= ~ISR_RST
        self.resume()

    # Side effects: memory, which is the card's.

    cdef void fetch(self, uint16_t address, uint8_t *data, uint32_t count) noexcept nogil:
        """Read count bytes of the chip's address space, which wraps at 64 KiB. Without a card all ones."""
        memset(data, 0xFF, count)

    cdef void store(self, uint16_t address, const uint8_t *data, uint32_t count) noexcept nogil:
        """Write count bytes of the chip's address space."""
        pass

    # Side effects: remote DMA (9.0).

    cdef void start_remote(self, uint8_t command) noexcept nogil:
        cdef uint8_t header[HEADER]
        self.remote = 0
        if command == CR_SEND:
            if not self.dcr & DCR_ARM:
                return
            self.remote_address = <uint16_t> self.ring.bnry << 8
            self.fetch(self.remote_address, header, HEADER)
            self.remote_next = header[1]
            self.remote_count = header[2] | <uint16_t> header[3] << 8
        self.remote = command
        if self.remote_count == 0:
            self.end_remote()

    cdef void end_remote(self) noexcept nogil:
        if self.remote == CR_SEND:
            self.write_bnry(self.remote_next)
        self.remote = 0
        self.isr |= ISR_RDC
        self.pull()

    cdef uint32_t remote_chunk(self, uint32_t count) noexcept nogil:
        """How many of count bytes can be moved at remote_address before it jumps."""
        cdef uint32_t stop = <uint32_t> self.ring.pstop << 8
        cdef uint32_t left = self.remote_count
        if self.dcr & DCR_WTS:
            self.remote_address &= 0xFFFE
            left = (left + 1) & ~<uint32_t> 1
        count = min(count, left)
        if self.remote_address < stop:
            count = min(count, stop - self.remote_address)
        return min(count, 0x10000 - self.remote_address)

    cdef void remote_moved(self, uint32_t count) noexcept nogil:
        """Address and count after a chunk."""
        self.remote_address += <uint16_t> count
        if self.remote_address == <uint16_t> self.ring.pstop << 8:
            self.remote_address = <uint16_t> self.ring.pstart << 8
        self.remote_count = <uint16_t> (self.remote_count - count) if self.remote_count > count else 0
        if self.remote_count == 0:
            self.end_remote()

    cdef void remote_out(self, uint8_t *data, uint32_t count) noexcept nogil:
        """The data port is read: count bytes from memory. Without a remote read all ones."""
        cdef uint32_t chunk
        while count and self.remote_count and (self.remote == CR_READ or self.remote == CR_SEND):
            chunk = self.remote_chunk(count)
            self.fetch(self.remote_address, data, chunk)
            self.remote_moved(chunk)
            data += chunk
            count -= chunk
        memset(data, 0xFF, count)

    cdef void remote_in(self, const uint8_t *data, uint32_t count) noexcept nogil:
        """The data port is written: count bytes to memory. Without a remote write they are lost."""
        cdef uint32_t chunk
        while count and self.remote_count and self.remote == CR_WRITE:
            chunk = self.remote_chunk(count)
            self.store(self.remote_address, data, chunk)
            self.remote_moved(chunk)
            data += chunk
            count -= chunk

    # Side effects: transmission (8.0) and loopback (12.0).

    cdef void start_transmit(self) noexcept nogil:
        self.tsr = 0
        if self.tcr & TCR_LOOP:
            self.loop_back()
        else:
            self.offer()

    cdef void offer(self) noexcept nogil:
        """Try to hand the frame to the host; it is fetched from memory each time."""
        cdef uint32_t length = self.tbcr
        cdef bint taken = True
        if length <= MOST_FRAME + FCS:
            self.fetch(<uint16_t> self.tpsr << 8, self.frame, length)
            if self.tcr & TCR_CRC:
                length = self.checked(length)
            taken = self.backend.transmit(self.frame, length)
        self.offers += 1
        if taken:
            self.end_transmit(TSR_PTX, ISR_PTX)
        elif self.offers >= OFFERS:
            self.end_transmit(TSR_ABT | TSR_COL, ISR_TXE)
        else:
            self.retry.arm(self.clock.now() + RETRY_NS)

    cdef uint32_t checked(self, uint32_t length) noexcept nogil:
        """Bytes of the frame without the FCS that the guest has appended; 0, which no card accepts, if that is wrong."""
        cdef uint32_t value, i
        if length < FCS:
            return 0
        value = ~crc_of(self.frame, length - FCS)
        for i in range(<uint32_t> FCS):
            if self.frame[length - FCS + i] != value >> (8 * i) & 0xFF:
                return 0
        return length - FCS

    cdef void end_transmit(self, uint8_t tsr, uint8_t isr) noexcept nogil:
        self.end_offers()
        self.tsr = tsr
        self.isr |= isr
        self.update_irq()

    cdef void on_timer(self, int number) noexcept nogil:
        if number == RETRY:
            if self.offers:
                self.offer()
        else:
            self.pull()
            if self.held:
                self.isr |= ISR_PRX
                self.arrival.disarm()
                self.update_irq()

    cdef void loop_back(self) noexcept nogil:
        """The frame comes round into the receiver, which checks address and FCS and stores nothing.

        In word mode only one byte of each word is sent: the even ones with BOS, else the odd ones (12.0). The frame, its
        FCS, and the count as low, high, high byte go through the FIFO.
        """
        cdef uint32_t count = min(<uint32_t> self.tbcr, <uint32_t> MOST_FRAME)
        cdef uint32_t step = 2 if self.dcr & DCR_WTS else 1
        cdef uint32_t shift = 1 if step == 2 and not self.dcr & DCR_BOS else 0
        cdef uint32_t fcs, i
        cdef uint8_t tail[3]
        cdef bint heard, wrong
        self.fetch(<uint16_t> self.tpsr << 8, self.frame, count)
        count //= step
        for i in range(count):
            self.frame[i] = self.frame[i * step + shift]
        heard = count >= 6 and self.accepts(self.frame)
        if self.tcr & TCR_CRC:
            wrong = heard and self.checked(count) == 0
        else:
            wrong = heard                               # one CRC unit: it cannot check what it makes (AN-937, 4.0)
            fcs = ~crc_of(self.frame, count)
            for i in range(<uint32_t> FCS):
                self.frame[count + i] = fcs >> (8 * i) & 0xFF
            count += FCS
        tail[0], tail[1], tail[2] = count & 0xFF, count >> 8, count >> 8
        pass_through(&self.fifo, 0, self.frame, count)
        pass_through(&self.fifo, count, tail, 3)
        self.fifo.at = 0
        self.rsr = RSR_CRC if wrong else RSR_PRX
        self.end_transmit(LOOPBACK_TSR[(self.tcr & TCR_LOOP) >> 1], ISR_PTX | (ISR_RXE if wrong else 0))

    # Side effects: reception (7.0).

    cdef void on_input(self) noexcept nogil:
        self.pull()

    def receive(self):
        """Hear that the backend has frames, as the run loop tells the card."""
        self.on_input()

    cdef void take_frames(self) noexcept nogil:
        """pull() where frames wait, and none is on its way."""
        cdef Frame *frame
        cdef uint64_t now = self.clock.now()
        cdef int paced = self.backend.paced
        self.held = False
        self.cable_free = max(self.cable_free, now)
        for _ in range(QUEUE_FRAMES):       # what comes meanwhile is announced again
            frame = self.backend.front()
            if frame == NULL:
                break
            if self.cable_free > now + BURST_NS[paced]:
                self.arrival.arm(self.cable_free - BURST_NS[paced])
                break
            if not self.hear(frame):
                self.held = True
                break
            self.cable_free += OCTET_NS[paced] * (max(frame.length, <uint32_t> SHORTEST) + AROUND[paced])
            self.backend.pop()
        if self.held and not self.isr & ISR_PRX:
            self.resume()

    cdef bint hear(self, Frame *frame) noexcept nogil:
        """A frame is on the cable. False where it has to wait there."""
        cdef uint8_t status = RSR_PHY if frame.data[0] & 1 else 0
        if not self.running or self.tcr & TCR_LOOP or not self.accepts(frame.data):
            return True
        if frame.length < SHORTEST and not self.rcr & RCR_AR:
            return True
        if frame.damage == DAMAGE_NONE:
            status |= RSR_PRX
        else:
            status |= RSR_CRC
            self.isr |= ISR_RXE
            if frame.damage == DAMAGE_ALIGNMENT:
                status |= RSR_FAE
                self.count(TALLY_ALIGNMENT)
            else:
                self.count(TALLY_CRC)
            if not self.rcr & RCR_SEP:
                self.rsr = status
                return True
        if self.rcr & RCR_MON:
            self.miss(status | RSR_DIS)
        elif not self.overflowed and fits(&self.ring, frame.length):
            self.keep(frame, status)
        elif self.backend.paced:
            return False
        else:
            self.miss(status)
            self.isr |= ISR_OVW | ISR_RST
            self.overflowed = True
        return True

    cdef bint accepts(self, const uint8_t *address) noexcept nogil:
        """Address recognition (4.0, 10.3): the filter's bit is the upper six bits of the CRC of the address."""
        cdef uint32_t index
        if not address[0] & 1:
            if self.rcr & RCR_PRO:
                return True
            return memcmp(address, self.par, 6) == 0
        if is_broadcast(address):
            return self.rcr & RCR_AB != 0
        if not self.rcr & RCR_AM:
            return False
        index = filter_index(address)
        return self.mar[index >> 3] >> (index & 7) & 1

    cdef void keep(self, Frame *frame, uint8_t status) noexcept nogil:
        """Into the ring: header, frame, FCS; then CURR moves on."""
        cdef uint8_t header[HEADER]
        cdef uint8_t fcs[FCS]
        cdef uint32_t count = frame.length + FCS
        cdef uint32_t value = crc_of(frame.data, frame.length)
        cdef uint32_t i
        cdef uint8_t page = page_behind(&self.ring, frame.length)
        if frame.damage == DAMAGE_NONE:
            value = ~value
        header[0], header[1], header[2], header[3] = status, page, count & 0xFF, count >> 8
        for i in range(<uint32_t> FCS):
            fcs[i] = value >> (8 * i) & 0xFF
        self.clda = <uint16_t> self.ring.curr << 8
        self.local_in(header, HEADER)
        self.local_in(frame.data, frame.length)
        self.local_in(fcs, FCS)
        self.ring.curr = page
        self.rsr = status
        self.isr |= ISR_PRX if frame.damage == DAMAGE_NONE else ISR_RXE

    cdef void local_in(self, const uint8_t *data, uint32_t count) noexcept nogil:
        """Local DMA into the ring, page by page."""
        cdef uint32_t chunk
        while count:
            chunk = min(count, PAGE - (self.clda & (PAGE - 1)))
            self.store(self.clda, data, chunk)
            data += chunk
            count -= chunk
            if (self.clda + chunk) & (PAGE - 1):
                self.clda += <uint16_t> chunk
            else:
                self.clda = <uint16_t> page_after(&self.ring, <uint8_t> (self.clda >> 8)) << 8

    cdef void miss(self, uint8_t status) noexcept nogil:
        self.rsr = (status & ~RSR_PRX) | RSR_MPA
        self.isr |= ISR_RXE
        self.count(TALLY_MISSED)

    # Save and load.

    cdef declare(self, Fields fields):
        fields.u8("cr", &self.cr, 0xFF & ~CR_TXP)
        fields.flag("running", &self.running)
        fields.u8("isr", &self.isr)
        fields.u8("imr", &self.imr, 0x7F)
        fields.u8("dcr", &self.dcr, DCR_BITS)
        fields.u8("tcr", &self.tcr, TCR_BITS)
        fields.u8("rcr", &self.rcr, RCR_BITS)
        fields.u8("tsr", &self.tsr)
        fields.u8("rsr", &self.rsr)
        fields.u8("pstart", &self.ring.pstart)
        fields.u8("pstop", &self.ring.pstop)
        fields.u8("bnry", &self.ring.bnry)
        fields.u8("curr", &self.ring.curr)
        fields.u8("tpsr", &self.tpsr)
        fields.u16("tbcr", &self.tbcr)
        fields.u16("clda", &self.clda)
        fields.u16("remote_address", &self.remote_address)
        fields.u16("remote_count", &self.remote_count)
        fields.u8("remote", &self.remote)
        fields.u8("remote_next", &self.remote_next)
        fields.flag("overflowed", &self.overflowed)
        fields.u32("offers", &self.offers)
        fields.derived("retry_at", MOST)
        fields.u8s("par", self.par, 6)
        fields.u8s("mar", self.mar, 8)
        fields.u8s("tallies", self.tallies, 3)
        fields.u8s("fifo", self.fifo.data, FIFO_SIZE)
        fields.u32("fifo_at", &self.fifo.at, FIFO_SIZE - 1)

    cdef dict derived(self):
        return {"retry_at": self.retry.deadline if self.offers else 0}

    cdef consistent(self, dict record):
        if record["remote"] not in (0, CR_READ, CR_WRITE, CR_SEND):
            raise StateError(f"{self.name}: field remote holds what this chip does not keep")
        if record["offers"] >= OFFERS or bool(record["offers"]) != bool(record["retry_at"]):
            raise StateError(f"{self.name}: fields offers and retry_at do not fit each other")

    cdef after_load(self, dict record):
        """What was on its way on the cable is lost, as where a cable is pulled."""
        self.retry.disarm()
        if self.offers:
            self.retry.arm(record["retry_at"])
        self.held, self.cable_free = False, 0
        self.arrival.disarm()
        self.update_irq()
        self.publish_parameters()
