# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Intel 8254 interval timer of a PC, with port 0x61 (system control port B), which holds channel 2's gate.

Nothing counts here; counter8254.pxd says what one counter is. Time is a number of input clock pulses, ticks, which now()
gives exactly; a channel remembers the tick at which its counting element was last loaded (`origin`) with which count,
and everything the guest can read is a formula of the ticks since. What the chip does by itself later is one event per
channel, `load_at`: the tick at which the count register goes to the counting element. It is one pulse after
a count is written or a gate triggers, or the end of the running period (mode 2) or half-cycle (mode 3) when
a count is written meanwhile. settle() lets that event happen before anything else is looked at.

Only channel 0 can wake the guest, so it alone has a Timer, set to the next rising edge of OUT. The tick of the
n-th edge is origin + n * count in whole numbers, and its deadline is that tick in ns, rounded up: no error adds
up. The IRQ line is moved only at rising edges (low, then high: the 8259A latches the edge), by control words and mode 0
counts, and when somebody reads the controller's request register, which shows OUT as it is. On the chip the low half
of a square wave takes back a request that was not acknowledged; here it does so only if it is seen in IRR, so a guest
that keeps interrupts off for half a period loses no tick.

Late service. Guests count time by these interrupts, so edges that passed while the host was busy are owed.
Each service makes one edge (more would merge in the controller); while edges are owed the next service comes
a quarter of a period later, time enough for the guest's handler. At most MAX_OWED are made up for, and never
closer than MIN_SERVICE_NS; what lies beyond is dropped, in phase. So a guest that asks for an interrupt
each microsecond gets no more than fifty thousand a second.

Source: Intel 82C54 data sheet (231244); port 0x61: Intel 82371SB (PIIX3) data sheet (290550).
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from hyperport.time.clock cimport Clock, Timer
from hyperport.bus.device cimport PortDevice
from hyperport.devices.counter8254 cimport (
    ACCESS_SHIFT, BOTH, CONTROL_KEPT, LATCH, LOW, NEVER, NO_COUNT, NO_STATUS, READ_BACK, SELECT_SHIFT, Channel,
    latch_count, latch_status, load, mode_of, new_count, next_rising, output, read_channel, set_gate, set_mode, stop)
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields

from hyperport.errors import StateError

cdef enum:
    # offsets
    CONTROL = 3             # port 0x43, write only; 0-2 are the channels, ports 0x40-0x42
    PORT_B = 4              # port 0x61

    # port 0x61
    GATE2 = 0x01            # gate of channel 2
    SPEAKER_DATA = 0x02     # OUT of channel 2 reaches the speaker
    PORT_B_KEPT = 0x0F      # and speaker data, parity and channel check enable
    REFRESH = 0x10          # toggles with each DRAM refresh request
    OUT2 = 0x20             # OUT of channel 2
    REFRESH_TICKS = 18      # 15.09 us, what firmware programs channel 1 to

    HZ = 1193182            # 14.31818 MHz / 12
    SECOND = 1000000000
    MAX_OWED = 32
    MIN_SERVICE_NS = 20000

cdef int64_t LONGEST = (<int64_t> 1 << 60) - 1   # ticks that a record can hold


cdef inline int64_t ns_to_ticks(uint64_t ns) noexcept nogil:
    """Pulses since power-on, rounded down; exact for every 64-bit time."""
    return <int64_t> (ns // SECOND * HZ + ns % SECOND * HZ // SECOND)


cdef inline uint64_t ticks_to_ns(int64_t ticks) noexcept nogil:
    """The first ns at which ns_to_ticks gives ticks; 0 for ticks before power-on."""
    cdef uint64_t whole = <uint64_t> ticks
    if ticks < 0:
        return 0
    return whole // HZ * SECOND + (whole % HZ * SECOND + HZ - 1) // HZ


@cython.final
cdef class Pit8254(PortDevice):
    """The three channels of a PC's timer at 1,193,182 Hz; gates of channels 0 and 1 are high.

    clock: gives the time. irq0: driven by OUT of channel 0. Offsets 0-3 are ports 0x40-0x43, 4 is port 0x61.
    """

    name = "pit8254"
    span = 5

    cdef Clock clock
    cdef IrqLine irq0
    cdef Timer timer
    cdef Channel channels[3]
    cdef int64_t next_edge      # tick of channel 0's next rising edge that was not delivered, or NEVER
    cdef uint32_t port_b        # what was written to port 0x61
    cdef object listener        # who hears the speaker, or None
    cdef uint32_t divisor       # of the tone that the listener was last told of; 0 for silence

    def __init__(self, Clock clock not None, IrqLine irq0=None):
        self.clock = clock
        self.irq0 = IrqLine() if irq0 is None else irq0
        self.timer = Timer(clock, self, 0)
        self.listener = None
        self.divisor = 0
        self.reset()

    def reset(self):
        """Power-on: nothing counts, all OUT are low, channel 2's gate is low (the data sheet leaves this open)."""
        memset(self.channels, 0, sizeof(self.channels))
        for i in range(3):
            self.channels[i].control = BOTH << ACCESS_SHIFT
            self.channels[i].gate = i != 2
            self.channels[i].null_count = 1
            self.channels[i].reload = self.channels[i].count = 65536
            self.channels[i].load_at = NEVER
        self.port_b = 0
        self.next_edge = NEVER
        self.timer.disarm()
        self.irq0.drive(0)
        self.update_speaker()

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef uint8_t byte
        self.io_read_block(offset, 1, 1, &byte)
        return byte

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        """A string takes no time."""
        cdef int64_t now = ns_to_ticks(self.clock.now())
        cdef Channel *ch
        if offset == CONTROL:
            memset(data, 0xFF, count)
            return
        ch = &self.channels[2 if offset == PORT_B else offset]
        self.settle(ch, now)
        if offset == PORT_B:
            memset(data, self.port_b | (REFRESH if now // REFRESH_TICKS & 1 else 0) | (OUT2 if output(ch, now) else 0),
                   count)
        else:
            read_channel(ch, now, data, count)

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t byte = <uint8_t> value
        self.io_write_block(offset, 1, 1, &byte)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint64_t now_ns = self.clock.now()
        cdef int64_t now = ns_to_ticks(now_ns)
        cdef uint32_t i
        for i in range(count):
            self.write_at(offset, data[i], now)
        if offset == 0:
            self.reschedule(now)
            self.arm(now, now_ns, 0)

    cdef void write_at(self, uint32_t offset, uint8_t byte, int64_t now) noexcept nogil:
        if offset == CONTROL:
            self.write_control(byte, now)
        elif offset == PORT_B:
            self.settle(&self.channels[2], now)
            self.port_b = byte & PORT_B_KEPT
            set_gate(&self.channels[2], byte & GATE2, now)
        else:
            self.write_count(offset, byte, now)
        if self.listener is not None:
            self.update_speaker()

    cdef void on_line(self, int number, int level) noexcept nogil:
        """Input 0 is high while the controller's requests are about to be read: give it OUT of channel 0 as it is."""
        cdef uint64_t now_ns = self.clock.now()
        cdef int64_t now = ns_to_ticks(now_ns)
        if not level:
            return
        if self.next_edge <= now:
            self.make_edge(now)
            self.arm(now, now_ns, now_ns + MIN_SERVICE_NS)
        self.settle(&self.channels[0], now)
        if not output(&self.channels[0], now):
            self.irq0.drive(0)

    cdef void on_timer(self, int number) noexcept nogil:
        cdef uint64_t now_ns = self.clock.now()
        cdef int64_t now = ns_to_ticks(now_ns)
        if self.next_edge <= now:
            self.make_edge(now)
        self.arm(now, now_ns, now_ns + MIN_SERVICE_NS)

    # side effects

    def listen(self, listener):
        """Call listener(ns since power-on, hertz) whenever the speaker's tone changes; 0.0 hertz is silence.

        A tone is channel 2 in mode 2 or 3 with its gate and the speaker's data bit on; clicks by the data bit alone
        are none. It is called on the vCPU's thread and must not raise. None ends it.
        """
        self.listener = listener
        self.divisor = 0
        self.update_speaker()

    cdef void update_speaker(self) noexcept with gil:
        """Tell the listener what the speaker does, if that has changed."""
        cdef Channel *ch = &self.channels[2]
        cdef bint sounds = self.port_b & (GATE2 | SPEAKER_DATA) == GATE2 | SPEAKER_DATA
        cdef uint32_t divisor = ch.reload if sounds and ch.written and (ch.mode == 2 or ch.mode == 3) else 0
        if self.listener is None or divisor == self.divisor:
            return
        self.divisor = divisor
        self.listener(self.clock.now(), HZ / <double> divisor if divisor else 0.0)

    cdef inline void settle(self, Channel *ch, int64_t now) noexcept nogil:
        """Let the load that waits happen if its time has come."""
        if ch.load_at <= now:
            load(ch)
            if ch == &self.channels[0] and self.next_edge < ch.origin:
                self.next_edge = next_rising(ch, ch.origin - 1)     # edges owed from before are forgone

    cdef void make_edge(self, int64_t now) noexcept nogil:
        """One rising edge of IRQ 0; next_edge moves on, at most MAX_OWED edges into the past."""
        cdef Channel *ch = &self.channels[0]
        cdef int64_t owed, most = MAX_OWED
        self.irq0.drive(0)
        self.irq0.drive(1)
        self.next_edge = next_rising(ch, self.next_edge)
        self.settle(ch, now)
        if self.next_edge <= now and (ch.mode == 2 or ch.mode == 3):
            if ticks_to_ns(ch.count) <= MIN_SERVICE_NS:
                most = 0
            owed = (now - self.next_edge) // ch.count + 1
            if owed > most:
                self.next_edge += (owed - most) * ch.count

    cdef void arm(self, int64_t now, uint64_t now_ns, uint64_t earliest) noexcept nogil:
        """Set the timer to the next edge, or for an edge that is owed, to a little later."""
        cdef uint64_t due
        if self.next_edge == NEVER:
            self.timer.disarm()
            return
        if self.next_edge <= now:
            due = now_ns + ticks_to_ns(self.channels[0].count) // 4
        else:
            due = ticks_to_ns(self.next_edge)
        self.timer.arm(due if due > earliest else earliest)

    cdef uint64_t service_in(self, int64_t now) noexcept nogil:
        """ns until the next service, if that waits for more than the next edge; else 0."""
        cdef uint64_t now_ns = self.clock.now(), due = self.timer.deadline
        if due <= now_ns or due - now_ns > SECOND or (self.next_edge > now and due == ticks_to_ns(self.next_edge)):
            return 0
        return due - now_ns

    cdef void reschedule(self, int64_t now) noexcept nogil:
        """Channel 0 was programmed: unless edges are owed, find the next one anew. Its timer is then to be armed."""
        if self.next_edge > now:
            self.next_edge = next_rising(&self.channels[0], now)

    cdef void write_control(self, uint8_t byte, int64_t now) noexcept nogil:
        cdef uint32_t select = byte >> SELECT_SHIFT
        cdef uint32_t i
        cdef Channel *ch
        if select == READ_BACK:
            for i in range(3):
                if byte >> (i + 1) & 1:
                    ch = &self.channels[i]
                    self.settle(ch, now)
                    if not byte & NO_COUNT:
                        latch_count(ch, now)
                    if not byte & NO_STATUS:
                        latch_status(ch, now)
            return
        ch = &self.channels[select]
        self.settle(ch, now)
        if byte >> ACCESS_SHIFT & BOTH == LATCH:
            latch_count(ch, now)
            return
        if select == 0 and self.next_edge <= now:
            self.make_edge(now)
        set_mode(ch, byte, now)
        if select == 0:
            self.next_edge = NEVER
            self.timer.disarm()
            self.irq0.drive(ch.mode != 0)

    cdef void write_count(self, uint32_t index, uint8_t byte, int64_t now) noexcept nogil:
        cdef Channel *ch = &self.channels[index]
        cdef uint32_t access = ch.control >> ACCESS_SHIFT & BOTH
        self.settle(ch, now)
        if index == 0 and self.next_edge <= now:
            self.make_edge(now)
        if ch.mode == 0:                # the first byte stops the count and takes OUT low
            stop(ch, now)
            if index == 0:
                self.irq0.drive(0)
        if access == BOTH and not ch.expect_high:
            ch.low_byte = byte
            ch.expect_high = 1
        elif access == BOTH:
            ch.expect_high = 0
            new_count(ch, <uint32_t> byte << 8 | ch.low_byte, now)
        else:
            new_count(ch, byte if access == LOW else <uint32_t> byte << 8, now)

    cdef declare(self, Fields fields):
        """Each of three channels; ticks relative to the one of the save, so that the record fits any clock."""
        cdef Channel *ch = &self.channels[0]
        fields.u8s("control", &ch.control, 3, CONTROL_KEPT, sizeof(Channel))
        fields.u8s("gate", &ch.gate, 3, 1, sizeof(Channel))
        fields.u8s("written", &ch.written, 3, 1, sizeof(Channel))
        fields.u8s("loaded", &ch.loaded, 3, 1, sizeof(Channel))
        fields.u8s("running", &ch.running, 3, 1, sizeof(Channel))
        fields.u8s("starts_low", &ch.starts_low, 3, 1, sizeof(Channel))
        fields.u8s("rises", &ch.rises, 3, 1, sizeof(Channel))
        fields.u8s("null_count", &ch.null_count, 3, 1, sizeof(Channel))
        fields.u8s("load_kind", &ch.load_kind, 3, 3, sizeof(Channel))
        fields.u8s("low_byte", &ch.low_byte, 3, 0xFF, sizeof(Channel))
        fields.u8s("expect_high", &ch.expect_high, 3, 1, sizeof(Channel))
        fields.u8s("read_high", &ch.read_high, 3, 1, sizeof(Channel))
        fields.u8s("latched", &ch.latched, 3, 3, sizeof(Channel))
        fields.u8s("status_latched", &ch.status_latched, 3, 1, sizeof(Channel))
        fields.u8s("status", &ch.status, 3, 0xFF, sizeof(Channel))
        fields.u32s("latch", &ch.latch, 3, 0xFFFF, sizeof(Channel))
        fields.u32s("residue", &ch.residue, 3, 0xFFFF, sizeof(Channel))
        fields.u32s("reload", &ch.reload, 3, 0x1FFFF, sizeof(Channel))
        fields.u32s("count", &ch.count, 3, 0x1FFFF, sizeof(Channel))
        fields.i64s("held", &ch.held, 3, LONGEST, sizeof(Channel))
        fields.derived_list("age", 3, LONGEST)
        fields.derived_list("load_in", 3, 0xFFFFFFFF)
        fields.derived("late", LONGEST)
        fields.derived("service_in", (1 << 30) - 1)
        fields.level("irq", self.irq0)
        fields.u32("port_b", &self.port_b, PORT_B_KEPT)

    cdef before_save(self):
        cdef int64_t now = ns_to_ticks(self.clock.now())
        cdef int i
        for i in range(3):
            self.settle(&self.channels[i], now)

    cdef dict derived(self):
        cdef int64_t now = ns_to_ticks(self.clock.now())
        cdef int i
        return {
            "age": [now - self.channels[i].origin if self.channels[i].loaded else 0 for i in range(3)],
            "load_in": [self.channels[i].load_at - now if self.channels[i].load_kind else 0 for i in range(3)],
            "late": now - self.next_edge + 1 if self.next_edge <= now else 0,
            "service_in": self.service_in(now),
        }

    cdef consistent(self, dict record):
        for i in range(3):
            gate = record["port_b"] & GATE2 if i == 2 else 1
            if (record["gate"][i] != gate or not record["control"][i] >> ACCESS_SHIFT or record["latched"][i] > 2
                    or not 1 <= record["count"][i] <= 65536 or not 1 <= record["reload"][i] <= 65536
                    or (record["load_in"][i] > 0) != (record["load_kind"][i] > 0)):
                raise StateError(f"{self.name}: the fields of channel {i} contradict each other")

    cdef after_load(self, dict record):
        """Drive irq0 and set the timer."""
        cdef int64_t now = ns_to_ticks(self.clock.now())
        cdef Channel *ch
        cdef int i
        for i in range(3):
            ch = &self.channels[i]
            ch.mode = mode_of(ch.control)
            ch.origin = now - <int64_t> record["age"][i]
            ch.load_at = now + <int64_t> record["load_in"][i] if ch.load_kind else NEVER
        self.next_edge = next_rising(&self.channels[0], now - <int64_t> record["late"])
        self.arm(now, self.clock.now(), 0)
        if record["service_in"] and self.next_edge != NEVER:
            self.timer.arm(self.clock.now() + <uint64_t> record["service_in"])
        self.update_speaker()
