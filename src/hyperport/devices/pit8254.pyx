# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Intel 8254 interval timer of a PC, with port 0x61 (system control port B), which holds channel 2's gate.

Nothing counts here. Time is a number of input clock pulses, ticks, which now() gives exactly; a channel
remembers the tick at which its counting element was last loaded (`origin`) with which count, and everything
the guest can read is a formula of the ticks since. What the chip does by itself later is one event per
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
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields

from hyperport.errors import StateError

cdef enum:
    # offsets
    CONTROL = 3             # port 0x43, write only; 0-2 are the channels, ports 0x40-0x42
    PORT_B = 4              # port 0x61

    # control word
    SELECT_SHIFT = 6        # channel, or 3: read-back
    READ_BACK = 3
    ACCESS_SHIFT = 4        # 0 latch command, 1 low byte, 2 high byte, 3 low then high
    LATCH = 0
    LOW = 1
    HIGH = 2
    BOTH = 3
    MODE_SHIFT = 1          # 0-5; 6 and 7 are 2 and 3
    BCD = 0x01              # four decimal digits
    CONTROL_KEPT = 0x3F
    # read-back command: bits 3-1 select channels
    NO_COUNT = 0x20         # do not latch the count
    NO_STATUS = 0x10        # do not latch the status
    # status byte: the low six bits of the control word, and
    STATUS_OUT = 0x80
    STATUS_NULL = 0x40      # the last count written is not in the counting element yet

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

    # what kind of event load_at is
    LOAD_NONE = 0
    LOAD_START = 1          # written or triggered: starts a period
    LOAD_HIGH = 2           # mode 2 and 3: end of a period, OUT rises
    LOAD_LOW = 3            # mode 3: end of the high half, OUT falls

cdef int64_t NEVER = <int64_t> 1 << 62
cdef int64_t LONGEST = (<int64_t> 1 << 60) - 1   # ticks that a record can hold

cdef struct Channel:
    uint8_t control         # low six bits of the last control word
    uint8_t mode            # 0-5
    uint8_t gate
    uint8_t written         # a whole count was written since the control word
    uint8_t loaded          # it has been in the counting element: OUT and count follow the mode's formula
    uint8_t running         # it counts; else `held` ticks stand
    uint8_t starts_low      # mode 3: the half-cycle at origin is the low one
    uint8_t rises           # OUT rose at origin
    uint8_t null_count
    uint8_t load_kind
    uint8_t low_byte        # of a count half written
    uint8_t expect_high     # write flip-flop
    uint8_t read_high       # read flip-flop
    uint8_t latched         # bytes left of the latched count
    uint8_t status_latched
    uint8_t status
    uint32_t latch          # output latch, as the guest reads it
    uint32_t residue        # what the counting element shows while not loaded
    uint32_t reload         # count register as a number, 1 to 65536 (an invalid BCD digit counts as it stands)
    uint32_t count          # what the counting element was loaded with
    int64_t origin          # tick of that load; after a pause in mode 0 and 4, moved by the length of the pause
    int64_t held
    int64_t load_at         # NEVER unless load_kind

# relative to the tick of the save; see save()


cdef inline int64_t ns_to_ticks(uint64_t ns) noexcept nogil:
    """Pulses since power-on, rounded down; exact for every 64-bit time."""
    return <int64_t> (ns // SECOND * HZ + ns % SECOND * HZ // SECOND)


cdef inline uint64_t ticks_to_ns(int64_t ticks) noexcept nogil:
    """The first ns at which ns_to_ticks gives ticks; 0 for ticks before power-on."""
    cdef uint64_t whole = <uint64_t> ticks
    if ticks < 0:
        return 0
    return whole // HZ * SECOND + (whole % HZ * SECOND + HZ - 1) // HZ


cdef inline int64_t elapsed(const Channel *ch, int64_t now) noexcept nogil:
    return now - ch.origin if ch.running else ch.held


cdef inline uint32_t within(const Channel *ch, int64_t now) noexcept nogil:
    """Ticks since the period began (mode 2 and 3)."""
    return <uint32_t> (<uint64_t> elapsed(ch, now) % ch.count)


cdef int output(const Channel *ch, int64_t now) noexcept nogil:
    """Level of OUT."""
    cdef uint32_t at
    if not ch.loaded:
        return ch.mode != 0
    if ch.mode <= 1:
        return elapsed(ch, now) >= ch.count
    if ch.mode >= 4:
        return elapsed(ch, now) != ch.count
    if not ch.running:
        return 1
    at = within(ch, now)
    if ch.mode == 2:
        return at != ch.count - 1
    return at >= ch.count // 2 if ch.starts_low else at < (ch.count + 1) // 2


cdef uint32_t counting_element(const Channel *ch, int64_t now) noexcept nogil:
    """What the counting element holds: 16 bits, binary or BCD."""
    cdef uint32_t modulus = 10000 if ch.control & BCD else 65536
    cdef uint32_t at, first
    cdef int64_t left
    if not ch.loaded:
        return ch.residue
    if ch.mode == 2:
        left = ch.count - within(ch, now)
    elif ch.mode == 3:
        at = within(ch, now)
        first = ch.count // 2 if ch.starts_low else (ch.count + 1) // 2
        left = (ch.count & ~<uint32_t> 1) - 2 * (at - first if at >= first else at)
    else:
        left = ch.count - elapsed(ch, now)
    if modulus == 65536:
        return left & 0xFFFF
    left %= 10000
    return to_bcd(<uint32_t> (left + 10000 if left < 0 else left))


cdef inline uint32_t to_bcd(uint32_t number) noexcept nogil:
    return number // 1000 << 12 | number // 100 % 10 << 8 | number // 10 % 10 << 4 | number % 10


cdef inline uint32_t from_bcd(uint32_t digits) noexcept nogil:
    return (digits >> 12) * 1000 + (digits >> 8 & 15) * 100 + (digits >> 4 & 15) * 10 + (digits & 15)


cdef inline int64_t rising(uint8_t mode, uint32_t count, int64_t origin, bint starts_low, int64_t after) noexcept nogil:
    """The first tick later than `after` at which OUT rises, for a count loaded at origin with gate high."""
    cdef int64_t edge
    if mode == 0 or mode == 4:
        edge = origin + count + (1 if mode == 4 else 0)
        return edge if edge > after else NEVER
    if mode == 1 or mode == 5 or count < 2:     # a count of 1 is illegal in mode 2 and 3
        return NEVER
    edge = origin + (count // 2 if starts_low else count)
    if edge <= after:
        edge += (after - edge) // count * count + count
    return edge


cdef int64_t next_rising(const Channel *ch, int64_t after) noexcept nogil:
    """The same for a channel, across the load it waits for."""
    cdef int64_t edge = NEVER
    if ch.loaded:
        if ch.rises and after < ch.origin:
            return ch.origin
        edge = rising(ch.mode, ch.count, ch.origin, ch.starts_low, after)
    if ch.load_kind and edge > ch.load_at:
        edge = rising(ch.mode, ch.reload, ch.load_at, ch.load_kind == LOAD_LOW, after)
    return edge


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


cdef uint8_t mode_of(uint8_t control) noexcept nogil:
    cdef uint8_t mode = control >> MODE_SHIFT & 7
    return mode & 3 if mode > 5 else mode


cdef void read_channel(Channel *ch, int64_t now, uint8_t *data, uint32_t count) noexcept nogil:
    """Bytes one after the other: the latched status, the latched count, then the count as it runs."""
    cdef uint32_t access = ch.control >> ACCESS_SHIFT, value, i = 0
    while i < count and (ch.status_latched or ch.latched):
        data[i] = read_latched(ch, access)
        i += 1
    if i == count:
        return
    value = counting_element(ch, now)
    for i in range(i, count):
        data[i] = <uint8_t> (value >> 8 if access == HIGH or access == BOTH and ch.read_high else value)
        if access == BOTH:
            ch.read_high ^= 1


cdef uint8_t read_latched(Channel *ch, uint32_t access) noexcept nogil:
    if ch.status_latched:
        ch.status_latched = 0
        return ch.status
    ch.latched -= 1
    return <uint8_t> (ch.latch >> 8 if access == HIGH or access == BOTH and not ch.latched else ch.latch)


cdef void latch_count(Channel *ch, int64_t now) noexcept nogil:
    if not ch.latched:
        ch.latch = counting_element(ch, now)
        ch.latched = 2 if ch.control >> ACCESS_SHIFT == BOTH else 1


cdef void latch_status(Channel *ch, int64_t now) noexcept nogil:
    if not ch.status_latched:
        ch.status = ch.control | (STATUS_OUT if output(ch, now) else 0) | (STATUS_NULL if ch.null_count else 0)
        ch.status_latched = 1


cdef void stop(Channel *ch, int64_t now) noexcept nogil:
    """Freeze the counting element; OUT goes to the mode's first level."""
    if ch.loaded:
        ch.residue = counting_element(ch, now)
    ch.loaded = 0
    ch.running = 0
    ch.rises = 0
    ch.load_kind = LOAD_NONE
    ch.load_at = NEVER


cdef void set_mode(Channel *ch, uint8_t byte, int64_t now) noexcept nogil:
    stop(ch, now)
    ch.control = byte & CONTROL_KEPT
    ch.mode = mode_of(ch.control)
    ch.written = 0
    ch.null_count = 1
    ch.expect_high = 0
    ch.read_high = 0
    ch.latched = 0
    ch.status_latched = 0


cdef void load(Channel *ch) noexcept nogil:
    """The count register goes to the counting element, as load_at and load_kind say."""
    ch.count = ch.reload
    ch.origin = ch.load_at
    ch.held = 0
    ch.loaded = 1
    ch.running = ch.gate or ch.mode == 1 or ch.mode == 5
    ch.null_count = 0
    ch.starts_low = ch.load_kind == LOAD_LOW
    ch.rises = ch.load_kind == LOAD_HIGH
    ch.load_at = NEVER
    ch.load_kind = LOAD_NONE


cdef void load_next_pulse(Channel *ch, int64_t now) noexcept nogil:
    ch.load_kind = LOAD_START
    ch.load_at = now + 1


cdef void new_count(Channel *ch, uint32_t written, int64_t now) noexcept nogil:
    """A whole count has come in: 16 bits as the guest wrote them, 0 for the largest."""
    cdef uint32_t at, half
    if ch.control & BCD:
        ch.reload = from_bcd(written) if written else 10000
    else:
        ch.reload = written if written else 65536
    ch.written = 1
    ch.null_count = 1
    if ch.mode == 0 or ch.mode == 4:
        load_next_pulse(ch, now)
    elif (ch.mode == 2 or ch.mode == 3) and not ch.load_kind:
        if not ch.loaded:
            load_next_pulse(ch, now)
        elif ch.running:
            at = within(ch, now)
            half = ch.count
            ch.load_kind = LOAD_HIGH
            if ch.mode == 3:
                half = ch.count // 2 if ch.starts_low else (ch.count + 1) // 2
                if at >= half:
                    half = ch.count
                if (half == ch.count) == ch.starts_low:
                    ch.load_kind = LOAD_LOW
            ch.load_at = now + (half - at)


cdef void set_gate(Channel *ch, uint8_t level, int64_t now) noexcept nogil:
    if level == ch.gate:
        return
    ch.gate = level
    if ch.mode == 0 or ch.mode == 4:
        if not ch.loaded:
            return
        if level:
            ch.origin = now - ch.held
        else:
            ch.held = now - ch.origin
        ch.running = level
    elif level:
        if ch.written:
            load_next_pulse(ch, now)
    elif (ch.mode == 2 or ch.mode == 3) and ch.running:
        ch.held = now - ch.origin
        ch.running = 0
        if ch.load_kind != LOAD_START:
            ch.load_kind = LOAD_NONE
            ch.load_at = NEVER
