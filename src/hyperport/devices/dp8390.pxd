# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from hyperport.time.clock cimport Clock, Timer
from hyperport.host.packet cimport MOST_FRAME, Frame, PacketBackend
from hyperport.bus.device cimport PortDevice
from hyperport.devices.dp8390_fifo cimport Fifo
from hyperport.devices.dp8390_ring cimport FCS, Ring
from hyperport.lines.irq cimport IrqLine

cdef enum:
    CR = 0x0            # command, in all pages

    CLDA0 = 0x1         # page 0, read: current local DMA address, CLDA1 follows
    CLDA1 = 0x2
    PSTART = 0x1        # page 0, write; page 2, read
    PSTOP = 0x2
    BNRY = 0x3          # page 0
    TSR_TPSR = 0x4      # page 0: read transmit status, write first page of the frame to send
    NCR_TBCR0 = 0x5     # page 0: read collisions, write count of bytes to send
    FIFO_TBCR1 = 0x6
    ISR = 0x7           # interrupt status; write ones to clear
    RSAR0 = 0x8         # page 0: remote DMA start address; read: current address (CRDA)
    RSAR1 = 0x9
    RBCR0 = 0xA         # page 0, write: remote byte count
    RBCR1 = 0xB
    RSR_RCR = 0xC       # page 0: read receive status, write receive configuration
    CNTR0_TCR = 0xD     # page 0: read alignment errors, write transmit configuration
    CNTR1_DCR = 0xE     # page 0: read CRC errors, write data configuration
    CNTR2_IMR = 0xF     # page 0: read missed packets, write interrupt mask

    PAR0 = 0x1          # page 1: physical address, to 0x6
    CURR = 0x7          # page 1
    MAR0 = 0x8          # page 1: multicast filter, to 0xF

    CR_STP = 0x01       # stop
    CR_STA = 0x02       # start
    CR_TXP = 0x04       # transmit; reads 1 until it is done
    CR_RD = 0x38        # remote DMA command
    CR_READ = 0x08
    CR_WRITE = 0x10
    CR_SEND = 0x18
    CR_ABORT = 0x20     # abort or complete, with any lower RD bits
    CR_PAGE = 6         # shift of the page number

    ISR_PRX = 0x01      # packet received
    ISR_PTX = 0x02      # packet transmitted
    ISR_RXE = 0x04      # receive error
    ISR_TXE = 0x08      # transmit error
    ISR_OVW = 0x10      # ring overflow
    ISR_CNT = 0x20      # a tally counter has reached 128
    ISR_RDC = 0x40      # remote DMA complete
    ISR_RST = 0x80      # stopped, or overflow not yet relieved; no interrupt

    DCR_WTS = 0x01      # word-wide remote DMA
    DCR_BOS = 0x02      # byte order: which half of a word loopback uses
    DCR_LAS = 0x04      # addresses of 32 bits
    DCR_ARM = 0x10      # "send packet" is allowed
    DCR_BITS = 0x7F

    TCR_CRC = 0x01      # inhibit: the guest has put the FCS there itself
    TCR_LOOP = 0x06     # loopback mode 1 to 3
    TCR_BITS = 0x1F

    TSR_PTX = 0x01      # transmitted
    TSR_COL = 0x04      # collided
    TSR_ABT = 0x08      # given up after 16 collisions
    TSR_CRS = 0x10      # carrier lost
    TSR_CDH = 0x40      # no collision-detect heartbeat

    RCR_SEP = 0x01      # keep packets with errors
    RCR_AR = 0x02       # accept runts
    RCR_AB = 0x04       # accept broadcasts
    RCR_AM = 0x08       # accept multicasts that pass the filter
    RCR_PRO = 0x10      # accept all physical addresses
    RCR_MON = 0x20      # monitor: count, store nothing
    RCR_BITS = 0x3F

    RSR_PRX = 0x01      # received without errors
    RSR_CRC = 0x02
    RSR_FAE = 0x04      # frame alignment error
    RSR_MPA = 0x10      # missed packet
    RSR_PHY = 0x20      # it was a broadcast or multicast
    RSR_DIS = 0x40      # receiver disabled: monitor mode

    SHORTEST = 60       # a shorter frame is a runt
    TALLY_MOST = 192    # where a tally counter stays
    TALLY_ALARM = 0x80

    TALLY_ALIGNMENT = 0
    TALLY_CRC = 1
    TALLY_MISSED = 2

    OFFERS = 64         # how often a frame is offered to a busy host

    ARRIVAL_NS = 50_000     # about what the shortest frame takes on the cable
    RETRY = 0           # numbers of the timers
    ARRIVAL = 1

cdef extern from *:
    """
    #define HP_NO_DEADLINE (~(unsigned long long) 0)
    """
    const uint64_t NEVER "HP_NO_DEADLINE"   # of a timer that is not armed

cdef class Dp8390(PortDevice):
    cdef IrqLine irq
    cdef PacketBackend backend
    cdef Clock clock
    cdef Timer retry                            # of a frame that a busy host did not take
    cdef Timer arrival                          # of frames that waited for room
    cdef uint8_t frame[MOST_FRAME + FCS]        # scratch: a frame on its way out
    cdef uint8_t cr, isr, imr, dcr, tcr, rcr, tsr, rsr
    cdef uint8_t tpsr
    cdef Ring ring
    cdef uint16_t tbcr, clda
    cdef uint16_t remote_address, remote_count  # CRDA, and what is left of RBCR
    cdef uint8_t remote                         # the RD bits while the data port is live, else 0
    cdef uint8_t remote_next                    # BNRY after "send packet"
    cdef bint running, overflowed
    cdef bint held                              # a frame waits in the backend for room in the ring
    cdef uint64_t cable_free                    # when a paced cable can bring the next frame
    cdef uint32_t offers                        # how often the frame on its way has been offered; 0: there is none
    cdef uint8_t par[6]
    cdef uint8_t mar[8]
    cdef uint8_t tallies[3]
    cdef Fifo fifo

    cdef void reset_pin(self) noexcept nogil
    cdef uint32_t read_page0(self, uint32_t offset) noexcept nogil
    cdef uint32_t read_page2(self, uint32_t offset) noexcept nogil
    cdef void write_page0(self, uint32_t offset, uint8_t value) noexcept nogil
    cdef void write_reception(self, uint32_t offset, uint8_t value) noexcept nogil
    cdef void write_parameter(self, uint32_t offset, uint8_t value) noexcept nogil
    cdef void publish_parameters(self) noexcept nogil
    cdef void write_cr(self, uint8_t value) noexcept nogil
    cdef void write_bnry(self, uint8_t value) noexcept nogil
    cdef void fetch(self, uint16_t address, uint8_t *data, uint32_t count) noexcept nogil
    cdef void store(self, uint16_t address, const uint8_t *data, uint32_t count) noexcept nogil
    cdef void start_remote(self, uint8_t command) noexcept nogil
    cdef void end_remote(self) noexcept nogil
    cdef uint32_t remote_chunk(self, uint32_t count) noexcept nogil
    cdef void remote_moved(self, uint32_t count) noexcept nogil
    cdef void remote_out(self, uint8_t *data, uint32_t count) noexcept nogil
    cdef void remote_in(self, const uint8_t *data, uint32_t count) noexcept nogil
    cdef void start_transmit(self) noexcept nogil
    cdef void offer(self) noexcept nogil
    cdef uint32_t checked(self, uint32_t length) noexcept nogil
    cdef void end_transmit(self, uint8_t tsr, uint8_t isr) noexcept nogil
    cdef void loop_back(self) noexcept nogil
    cdef void take_frames(self) noexcept nogil
    cdef bint hear(self, Frame *frame) noexcept nogil
    cdef bint accepts(self, const uint8_t *address) noexcept nogil
    cdef void keep(self, Frame *frame, uint8_t status) noexcept nogil
    cdef void local_in(self, const uint8_t *data, uint32_t count) noexcept nogil
    cdef void miss(self, uint8_t status) noexcept nogil

    cdef inline void end_offers(self) noexcept nogil:
        if self.offers:
            self.offers = 0
            self.retry.disarm()

    cdef inline void count(self, uint32_t tally) noexcept nogil:
        if self.tallies[tally] < TALLY_MOST:
            self.tallies[tally] += 1
        if self.tallies[tally] & TALLY_ALARM:
            self.isr |= ISR_CNT

    cdef inline void resume(self) noexcept nogil:
        """The guest has done something about the ring: look again in a moment."""
        if self.held and self.arrival.deadline == NEVER:
            self.arrival.arm(self.clock.now() + ARRIVAL_NS)

    cdef inline void update_irq(self) noexcept nogil:
        self.irq.drive(self.isr & self.imr)

    cdef inline void pull(self) noexcept nogil:
        """Take frames from the backend, unless they have to wait; then the interrupt line is right."""
        if self.arrival.deadline == NEVER and self.backend.holds():
            self.take_frames()
        self.update_irq()
