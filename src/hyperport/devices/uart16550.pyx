# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""NS16550A UART, the serial port of a PC, with a null-modem cable to a host backend.

Source: National Semiconductor PC16550D datasheet (June 1995), with its register names;
the gate from OUT2 to the interrupt line is the IBM AT serial adapter's.

Transmission takes no time: a byte written to THR is gone at once, so LSR shows THRE and TEMT always, and the
THRE interrupt is pending again right after each write. Two lines of the datasheet matter for guests whose
interrupt controller latches edges, and are kept although no time passes: a write to THR ends the THRE
interrupt before the next begins, and a read of RBR ends the character timeout before the next begins.

Reception is paced by the guest: a byte leaves the backend only when the receiver has room, so the host never
overruns it. A byte in the FIFO below the trigger level counts as timed out at once, because the line is idle
from then on as far as this chip can know; the guest sees IIR Ch instead of a delay of four characters.
In loopback the cable is off: nothing is pulled, and overrun is the guest's own doing.

A character has the 5 to 8 bits of LCR, for both directions: the far end is set as this one is, so bits above are not on
the wire and read 0, and there are no parity and framing errors. While LCR sends a break, what is written to THR does not
get out; in loopback SOUT is off, and it does. Power-on is what a PC's firmware leaves: 9600 baud, 8 bits, no parity.

The backend is told of divisor, LCR and MCR, and has the modem inputs: a serial port of the host follows them (host/tty.pyx).
Any other end is a null-modem cable whose far end is always there.

Not modelled: the time a character takes, so the divisor latch is only kept, 0 in it as well; parity, framing error and
break of the receiver (LSR bits 2 to 4 and 7 are 0); the DMA mode of FCR (RXRDY and TXRDY are not on a PC's board).
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t

from hyperport.host.char cimport CharBackend
from hyperport.bus.attributes cimport postable, shadowed
from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields

from hyperport.errors import StateError

cdef enum:
    RBR_THR = 0         # data; divisor latch low (DLL) while LCR.DLAB
    IER = 1             # interrupt enable; divisor latch high (DLM) while LCR.DLAB
    IIR_FCR = 2         # read: interrupt identification; write: FIFO control
    LCR = 3             # line control
    MCR = 4             # modem control
    LSR = 5             # line status
    MSR = 6             # modem status
    SCR = 7             # scratch

    IER_DATA = 0x01     # received data, character timeout
    IER_THRE = 0x02     # transmitter holding register empty
    IER_LINE = 0x04     # receiver line status
    IER_MODEM = 0x08    # modem status
    IER_BITS = 0x0F

    IIR_MODEM = 0x00
    IIR_NONE = 0x01     # no interrupt pending
    IIR_THRE = 0x02
    IIR_DATA = 0x04
    IIR_LINE = 0x06
    IIR_TIMEOUT = 0x0C
    IIR_FIFOS = 0xC0    # both bits set while the FIFOs are enabled

    FCR_ENABLE = 0x01
    FCR_CLEAR_RX = 0x02
    FCR_TRIGGER = 0xC0  # index into TRIGGERS

    LCR_BITS = 0x03     # WLS: bits in a character, less 5
    LCR_BREAK = 0x40    # SOUT is held low
    LCR_8N1 = 0x03
    LCR_DLAB = 0x80     # offsets 0 and 1 are the divisor latch

    MCR_DTR = 0x01
    MCR_RTS = 0x02
    MCR_OUT1 = 0x04
    MCR_OUT2 = 0x08     # opens the gate of the PC's interrupt line
    MCR_LOOP = 0x10
    MCR_BITS = 0x1F

    LSR_DATA = 0x01     # data ready
    LSR_OVERRUN = 0x02
    LSR_EMPTY = 0x60    # THRE and TEMT
    LSR_ERRORS = 0x1E   # reading the register clears them

    MSR_DELTAS = 0x0F   # DCTS, DDSR, TERI, DDCD: changed since the last read
    MSR_TERI = 0x04     # RI went from on to off
    MSR_CTS = 0x10
    MSR_DSR = 0x20
    MSR_RI = 0x40
    MSR_DCD = 0x80
    MSR_CABLE = 0xB0    # the other end of the null-modem cable is always there: DCD, DSR, CTS

    FIFO_SIZE = 16
    DLL_9600 = 12       # divisor of 1.8432 MHz / 16 for the 9600 baud a PC's firmware sets

cdef uint8_t[4] TRIGGERS = [1, 4, 8, 14]
cdef uint8_t[4] CHARACTER = [0x1F, 0x3F, 0x7F, 0xFF]    # bits on the wire, by WLS
# The offsets of which a write tells something new (attributes()), as bits, by the offset that is written.
cdef uint8_t[8] CHANGES = [0, 1 << RBR_THR | 1 << IER, 1 << LSR, 1 << RBR_THR | 1 << IER | 1 << LCR, 0xFF, 0, 0, 1 << SCR]


@cython.final
cdef class Uart16550(PortDevice):
    """irq: the interrupt output. backend: where bytes go and come from; none: the cable's far end is silent."""

    name = "uart16550"
    span = 8

    cdef IrqLine irq
    cdef CharBackend backend
    cdef uint8_t ier, fcr, lcr, mcr, lsr, scr, dll, dlm
    cdef uint8_t rbr                # what an empty receiver reads back: the last byte
    cdef uint8_t lines              # MSR bits 4-7
    cdef uint8_t deltas             # MSR bits 0-3
    cdef bint thre_pending
    cdef bint timeout_restarted     # a read of RBR has just ended the character timeout
    cdef uint8_t received[FIFO_SIZE]
    cdef uint32_t head, used, room, trigger

    def __init__(self, IrqLine irq=None, CharBackend backend=None):
        self.irq = IrqLine() if irq is None else irq
        self.backend = CharBackend() if backend is None else backend
        self.reset()

    def reset(self):
        self.ier = self.fcr = self.mcr = self.scr = self.dlm = self.rbr = self.deltas = 0
        self.lcr = LCR_8N1
        self.dll = DLL_9600
        self.backend.tell_line(DLL_9600, LCR_8N1)
        self.backend.tell_outputs(0)
        self.lines = self.modem_lines()
        self.lsr = LSR_EMPTY
        self.thre_pending = self.timeout_restarted = False
        self.head = self.used = 0
        self.room = self.trigger = 1
        self.update_irq()
        self.pull()
        self.publish_all(0xFF)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset == LSR:
            return self.read_lsr()
        if offset == RBR_THR:
            return self.dll if self.lcr & LCR_DLAB else self.read_rbr()
        if offset == IER:
            return self.dlm if self.lcr & LCR_DLAB else self.ier
        if offset == IIR_FCR:
            return self.read_iir()
        if offset == LCR:
            return self.lcr
        if offset == MCR:
            return self.mcr
        if offset == MSR:
            return self.read_msr()
        return self.scr

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        cdef uint32_t i
        for i in range(count):
            data[i] = <uint8_t> self.io_read(offset, 1)

    cdef uint32_t read_lsr(self) noexcept nogil:
        cdef uint8_t lsr = self.lsr
        if lsr & LSR_OVERRUN:
            self.lsr = lsr & ~LSR_OVERRUN
            self.update_irq()
            self.publish(LSR)
        return lsr

    cdef uint32_t read_rbr(self) noexcept nogil:
        if self.used:
            self.rbr = self.received[self.head]
            self.head = (self.head + 1) % FIFO_SIZE
            self.used -= 1
            if not self.used:
                self.lsr &= ~LSR_DATA
            self.timeout_restarted = True
            self.update_irq()
            self.timeout_restarted = False
            self.pull()
            self.update_irq()
            self.publish(LSR)
        return self.rbr

    cdef uint32_t read_iir(self) noexcept nogil:
        cdef uint8_t cause = self.cause()
        if cause == IIR_THRE:
            self.thre_pending = False
            self.update_irq()
        return cause | (IIR_FIFOS if self.fcr & FCR_ENABLE else 0)

    cdef uint32_t read_msr(self) noexcept nogil:
        cdef uint8_t msr
        self.backend.look_at_wires()
        self.hear_wires()
        msr = self.lines | self.deltas
        if self.deltas:
            self.deltas = 0
            self.update_irq()
            self.publish(MSR)
        return msr

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t byte = <uint8_t> value
        self.io_write_block(offset, 1, 1, &byte)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint32_t i
        cdef uint8_t enables = self.ier
        if offset == RBR_THR and count and not self.lcr & LCR_DLAB:
            self.transmit(data, count)
            return
        for i in range(count):
            self.write_at(offset, data[i])
        if offset != IER or self.ier != enables or self.lcr & LCR_DLAB:     # consoles write what it holds, twice a line
            self.publish_all(CHANGES[offset])

    cdef void write_at(self, uint32_t offset, uint8_t byte) noexcept nogil:
        """All but THR."""
        if offset == RBR_THR:
            self.dll = byte
        elif offset == IER:
            if self.lcr & LCR_DLAB:
                self.dlm = byte
            else:
                self.write_ier(byte)
        elif offset == IIR_FCR:
            self.write_fcr(byte)
        elif offset == LCR:
            self.lcr = byte
            if not byte & LCR_DLAB:
                self.backend.tell_line(self.divisor(), byte)
        elif offset == MCR:
            self.write_mcr(byte)
        elif offset == SCR:
            self.scr = byte

    cdef void write_ier(self, uint8_t value) noexcept nogil:
        if value & ~self.ier & IER_THRE:
            self.thre_pending = True
        self.ier = value & IER_BITS
        self.update_irq()

    cdef void write_fcr(self, uint8_t value) noexcept nogil:
        cdef bint cleared = (value ^ self.fcr) & FCR_ENABLE or value & FCR_CLEAR_RX and value & FCR_ENABLE
        if cleared:
            self.used = 0
            self.lsr &= ~LSR_DATA
        self.set_fcr(value & (FCR_TRIGGER | FCR_ENABLE) if value & FCR_ENABLE else 0)
        if cleared:
            self.pull()
        self.update_irq()

    cdef void set_fcr(self, uint8_t value) noexcept nogil:
        self.fcr = value
        self.room = FIFO_SIZE if value & FCR_ENABLE else 1
        self.trigger = TRIGGERS[value >> 6]

    cdef void write_mcr(self, uint8_t value) noexcept nogil:
        cdef bint looped = self.mcr & MCR_LOOP
        self.mcr = value & MCR_BITS
        self.backend.tell_outputs(0 if value & MCR_LOOP else self.mcr)
        self.hear_wires()
        if looped:
            self.pull()                 # the cable may be back
        self.update_irq()

    # Side effects.

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """THR: no line moves, nothing arrives by loopback. LSR, MSR: reading clears nothing. Others: what was written."""
        if offset == RBR_THR:
            return 0 if self.lcr & LCR_DLAB or self.mcr & MCR_LOOP or self.ier & IER_THRE else postable(1)
        if offset == LSR:
            return 0 if self.lsr & LSR_ERRORS else shadowed(1)
        if offset == MSR:
            return 0 if self.deltas or self.backend.wires >= 0 else shadowed(1)    # real wires are looked at by each read
        return shadowed(1) if offset == IER or offset == LCR or offset == MCR or offset == SCR else 0

    cdef void publish_all(self, uint32_t offsets) noexcept nogil:
        """publish() of each offset whose bit is set."""
        cdef uint32_t offset
        for offset in range(SCR + 1):
            if offsets >> offset & 1:
                self.publish(offset)

    cdef uint32_t divisor(self) noexcept nogil:
        return <uint32_t> self.dlm << 8 | self.dll

    cdef void hear_wires(self) noexcept nogil:
        """MSR after a change of the modem inputs."""
        cdef uint8_t before = self.lines
        self.lines = self.modem_lines()
        self.deltas |= ((self.lines ^ before) >> 4) & ~MSR_TERI
        if before & ~self.lines & MSR_RI:
            self.deltas |= MSR_TERI

    cdef uint8_t modem_lines(self) noexcept nogil:
        """MSR bits 4-7: the cable's, or in loopback the chip's own outputs."""
        if not self.mcr & MCR_LOOP:
            return MSR_CABLE if self.backend.wires < 0 else <uint8_t> self.backend.wires
        return ((MSR_CTS if self.mcr & MCR_RTS else 0) | (MSR_DSR if self.mcr & MCR_DTR else 0)
                | (MSR_RI if self.mcr & MCR_OUT1 else 0) | (MSR_DCD if self.mcr & MCR_OUT2 else 0))

    cdef void transmit(self, const uint8_t *data, uint32_t count) noexcept nogil:
        cdef uint32_t i
        if self.mcr & MCR_LOOP:
            for i in range(count):
                self.arrive(data[i])
            self.publish(LSR)
        elif not self.lcr & LCR_BREAK:
            self.send(data, count)
        if self.ier & IER_THRE:
            self.thre_pending = False
            self.update_irq()
        self.thre_pending = True
        self.update_irq()

    cdef void send(self, const uint8_t *data, uint32_t count) noexcept nogil:
        cdef uint8_t mask = CHARACTER[self.lcr & LCR_BITS]
        cdef uint8_t byte
        cdef uint32_t i
        if mask == 0xFF:
            self.backend.put_block(data, count)
            return
        for i in range(count):
            byte = data[i] & mask
            self.backend.put_block(&byte, 1)

    cdef void arrive(self, uint8_t byte) noexcept nogil:
        """A whole character is in the receiver. Without FIFOs an overrun loses the older one, with FIFOs the newer."""
        byte &= CHARACTER[self.lcr & LCR_BITS]
        if self.used == self.room:
            self.lsr |= LSR_OVERRUN
            if self.room == 1:
                self.received[self.head] = byte
            return
        self.received[(self.head + self.used) % FIFO_SIZE] = byte
        self.used += 1
        self.lsr |= LSR_DATA

    cdef void pull(self) noexcept nogil:
        """Take from the backend what there is room for."""
        cdef int byte
        if self.mcr & MCR_LOOP:
            return
        while self.used < self.room:
            byte = self.backend.get()
            if byte < 0:
                return
            self.arrive(<uint8_t> byte)

    cdef void on_input(self) noexcept nogil:
        self.hear_wires()
        self.pull()
        self.update_irq()
        self.publish(LSR)
        self.publish(MSR)

    def receive(self):
        """Hear that the backend has bytes, as the run loop tells the chip."""
        self.on_input()

    cdef uint8_t cause(self) noexcept nogil:
        """IIR bits 0-3: of the enabled conditions the one of highest priority."""
        if self.ier & IER_LINE and self.lsr & LSR_OVERRUN:
            return IIR_LINE
        if self.ier & IER_DATA and self.used >= self.trigger:
            return IIR_DATA
        if self.ier & IER_DATA and self.used and not self.timeout_restarted:
            return IIR_TIMEOUT
        if self.ier & IER_THRE and self.thre_pending:
            return IIR_THRE
        if self.ier & IER_MODEM and self.deltas:
            return IIR_MODEM
        return IIR_NONE

    cdef void update_irq(self) noexcept nogil:
        """Loopback turns the OUT2 pin off, and with it the interrupt line."""
        self.irq.drive(self.mcr & (MCR_OUT2 | MCR_LOOP) == MCR_OUT2 and self.cause() != IIR_NONE)

    cdef declare(self, Fields fields):
        fields.u8("ier", &self.ier, IER_BITS)
        fields.u8("fcr", &self.fcr, FCR_TRIGGER | FCR_ENABLE)
        fields.u8("lcr", &self.lcr)
        fields.u8("mcr", &self.mcr, MCR_BITS)
        fields.u8("scr", &self.scr)
        fields.u8("dll", &self.dll)
        fields.u8("dlm", &self.dlm)
        fields.u8("rbr", &self.rbr)
        fields.derived("overrun", 1)
        fields.flag("thre_pending", &self.thre_pending)
        fields.u8("msr_deltas", &self.deltas, 0x0F)
        fields.ring("received", self.received, FIFO_SIZE, &self.head, &self.used)

    cdef dict derived(self):
        return {"overrun": 1 if self.lsr & LSR_OVERRUN else 0}

    cdef consistent(self, dict record):
        cdef uint8_t fcr = record["fcr"]
        if fcr and not fcr & FCR_ENABLE:
            raise StateError(f"{self.name}: field fcr holds {fcr:#x}, which this chip does not keep")
        if len(record["received"]) > (FIFO_SIZE if fcr & FCR_ENABLE else 1):
            raise StateError(f"{self.name}: field received holds {len(record['received'])} bytes with the FIFOs off")

    cdef after_load(self, dict record):
        self.set_fcr(self.fcr)
        self.backend.tell_line(self.divisor(), self.lcr & ~LCR_DLAB)
        self.backend.tell_outputs(0 if self.mcr & MCR_LOOP else self.mcr)
        self.lines = self.modem_lines()
        self.lsr = LSR_EMPTY | (LSR_OVERRUN if record["overrun"] else 0) | (LSR_DATA if self.used else 0)
        self.pull()
        self.update_irq()
        self.publish_all(0xFF)
