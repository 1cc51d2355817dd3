# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""MC146818 real-time clock and the CMOS RAM of a PC AT behind it: ports 70h (index) and 71h (data).

Source: Motorola MC146818 datasheet; the use of the RAM bytes is the IBM AT's, with the
later memory sizes at 30h and 34h and the century at 32h.

Nothing ticks here. The divider chain is the host clock plus phase_ns; one update happens at every whole second
of it, and one periodic edge at every multiple of the rate. The time bytes are the chip's own counters, as of the last
update that sync() saw; sync() counts them on by what has passed since, and sets the flags of it. So an RTC whose
interrupts are off costs nothing; otherwise one timer waits for the next event that would raise the line. Events
missed meanwhile set their flag once, as on the chip.

A byte is what was written until a carry reaches it, whatever it is: software writes day, month and year one after
another, with SET or without, and the 31st may come before the month that has one. The datasheet does not say how
bytes that are no time count. Here one beyond its range wraps with the next carry, and so does a day beyond its month.

Time stands still ("frozen") while B.SET is set or the divider is held in reset (A.DV = 11x). On thawing by SET the
chain runs on; by the divider it starts so that the first update comes after half a second.

Where it departs from the chip: B.DM and B.24/12 changed while time runs convert the time bytes, where the datasheet
wants them written anew (while frozen they stay as stored, and so do the alarm's). An update takes no time, so UIP covers
only the 244 us before it. The century at 32h counts on; on an AT it is RAM that the firmware looks after.

Not modelled: daylight saving (B.DSE is kept), the square wave (B.SQWE is kept), the divider's test modes (A.DV = 3 to 5
hold it), a failing battery (D.VRT is 1), and NMI, which bit 7 of the index masks: nothing on the board raises it.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from hyperport.time.clock cimport Clock, Timer
from hyperport.bus.attributes cimport postable
from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields

from hyperport.errors import ConfigError, StateError

cdef enum:
    INDEX = 0           # port 70h, write only: register in bits 0-6, NMI mask in bit 7
    DATA = 1            # port 71h

    SECONDS = 0x00
    SECONDS_ALARM = 0x01
    MINUTES = 0x02
    MINUTES_ALARM = 0x03
    HOURS = 0x04        # bit 7: PM, in 12-hour mode
    HOURS_ALARM = 0x05
    WEEKDAY = 0x06      # 1 is Sunday
    DAY = 0x07
    MONTH = 0x08
    YEAR = 0x09
    A = 0x0A
    B = 0x0B
    C = 0x0C
    D = 0x0D
    FLOPPIES = 0x10             # kinds of drives: A in bits 7-4, B in 3-0; 0 for none
    EQUIPMENT = 0x14
    BASE_MEMORY = 0x15          # and 16h: KiB
    EXTENDED_MEMORY = 0x17      # and 18h: KiB above 1 MiB
    CHECKSUMMED = 0x10          # first byte of the checksum's range
    CHECKSUM = 0x2E             # high byte, low byte of the sum of 10h to 2Dh
    EXTENDED_MEMORY_POST = 0x30     # and 31h: the same, as found by the power-on test
    CENTURY = 0x32
    HIGH_MEMORY = 0x34          # and 35h: 64 KiB units above 16 MiB
    REGISTERS = 128

    A_UIP = 0x80        # an update comes within 244 us
    A_DIVIDER = 0x70    # DV: 0 to 2 run, by the crystal; 6 and 7 hold the chain in reset, the rest are for tests
    A_RATE = 0x0F       # RS: 0 none, else a power of two of 1/32768 s
    DV_32768 = 0x20
    B_SET = 0x80        # no updates
    B_PIE = 0x40
    B_AIE = 0x20
    B_UIE = 0x10
    B_SQUARE_WAVE = 0x08    # SQWE
    B_BINARY = 0x04     # DM
    B_24H = 0x02
    C_IRQF = 0x80
    C_PF = 0x40         # the flags have the places of their enable bits in B
    C_AF = 0x20
    C_UF = 0x10
    C_FLAGS = 0x70
    D_VRT = 0x80        # the battery is good
    PM = 0x80
    DONT_CARE = 0xC0    # an alarm byte of C0h and above matches any value

    A_FIRMWARE = 0x26   # 32,768 Hz, 1,024 Hz: what a PC's firmware sets
    HAS_FLOPPY = 0x01   # equipment byte; how many more, in bits 7-6
    MORE_FLOPPIES = 0x40
    FPU_PRESENT = 0x02
    UIP_NS = 244_000
    DAY_S = 86400
    TIMES = 7           # time bytes that have two digits

cdef int ANY = -1
cdef int NO_MATCH = -2
cdef uint64_t SECOND_NS = 1_000_000_000
cdef uint64_t NEVER = <uint64_t> -1
cdef uint8_t[12] MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
cdef uint8_t[TIMES] TIME_BYTES = [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY]


cdef struct Date:
    int64_t year
    int month, day


cdef inline int64_t floor_divide(int64_t number, int64_t by) noexcept nogil:
    return number // by - (1 if number % by < 0 else 0)


cdef int64_t days_of(Date date) noexcept nogil:
    """Days from 1970-01-01, Gregorian; years start in March here, so the leap day is the last."""
    cdef int64_t year = date.year - (1 if date.month <= 2 else 0)
    cdef int64_t month = (date.month + 9) % 12
    return (365 * year + floor_divide(year, 4) - floor_divide(year, 100) + floor_divide(year, 400)
            + (153 * month + 2) // 5 + date.day - 1 - 719468)


cdef Date date_of(int64_t days) noexcept nogil:
    cdef int64_t shifted = days + 719468
    cdef int64_t era = floor_divide(shifted, 146097)
    cdef int64_t in_era = shifted - era * 146097
    cdef int64_t year = (in_era - in_era // 1460 + in_era // 36524 - in_era // 146096) // 365
    cdef int64_t in_year = in_era - (365 * year + year // 4 - year // 100)
    cdef int64_t month = (5 * in_year + 2) // 153
    cdef Date date
    date.day = <int> (in_year - (153 * month + 2) // 5 + 1)
    date.month = <int> (month + 3 if month < 10 else month - 9)
    date.year = year + era * 400 + (1 if date.month <= 2 else 0)
    return date


cdef inline int clamp(int number, int low, int high) noexcept nogil:
    return low if number < low else high if number > high else number


cdef class Rtc146818(PortDevice):
    """clock: whose wall time it shows. irq: IRQ8. For the CMOS bytes, memory_size: bytes of guest memory; floppies: the
    kinds of drives A and B, as in byte 10h; setup: more bytes that a firmware's setup would have stored, by register.
    """

    name = "rtc146818"
    span = 2

    cdef Clock clock
    cdef IrqLine irq
    cdef Timer timer
    cdef uint64_t memory_size
    cdef tuple floppies
    cdef dict setup
    cdef uint8_t index
    cdef uint8_t cmos[REGISTERS]    # time bytes as of last_update, A without UIP, C without IRQF
    cdef uint64_t phase_ns          # from the clock's wall time to the divider chain
    cdef uint64_t last_update       # number of the last update that sync() saw
    cdef uint64_t last_edge         # and of the last periodic edge
    cdef uint64_t alarm_update      # the next update that matches the alarm; 0: not worked out

    def __init__(self, Clock clock not None, IrqLine irq=None, memory_size=0, floppies=(0, 0), setup=None):
        if not 0 <= memory_size <= 1 << 32:
            raise ConfigError(f"{self.name}: memory size {memory_size} is outside 0 to 4 GiB")
        if any(not D < register < REGISTERS for register in setup or ()):
            raise ConfigError(f"{self.name}: the setup has bytes for registers that are no RAM")
        self.clock = clock
        self.irq = IrqLine() if irq is None else irq
        self.memory_size = memory_size
        self.floppies = tuple(floppies)
        self.setup = dict(setup or {})
        self.timer = Timer(clock, self, 0)
        self.reset()

    def reset(self):
        memset(self.cmos, 0, REGISTERS)
        self.index = 0
        self.cmos[A] = A_FIRMWARE
        self.cmos[B] = B_24H
        self.fill_ram()
        self.phase_ns = 0
        self.last_update = self.chain() // SECOND_NS
        self.last_edge = self.edge_number(self.chain())
        self.alarm_update = 0
        self.show_time(<int64_t> self.last_update)
        self.settle()

    def bus_reset(self):
        """RESET of the chip (datasheet, "Reset"): interrupts and their flags are off; time and RAM stay."""
        self.sync()
        self.cmos[B] &= ~(C_FLAGS | B_SQUARE_WAVE)
        self.cmos[C] = 0
        self.settle()

    cdef void fill_ram(self):
        """What a PC's firmware leaves in the RAM: sizes, floppy drives, setup, checksum."""
        cdef uint32_t checksum = 0
        cdef int64_t size = <int64_t> self.memory_size
        cdef int i
        extended = max(0, min(0xFFFF, (size - (1 << 20)) >> 10))
        self.put_word(BASE_MEMORY, min(640, size >> 10))
        self.put_word(EXTENDED_MEMORY, extended)
        self.put_word(EXTENDED_MEMORY_POST, extended)
        self.put_word(HIGH_MEMORY, max(0, min(0xFFFF, (size - (16 << 20)) >> 16)))
        drives = sum(kind > 0 for kind in self.floppies)
        self.cmos[FLOPPIES] = <uint8_t> (self.floppies[0] << 4 | self.floppies[1])
        self.cmos[EQUIPMENT] = FPU_PRESENT | (HAS_FLOPPY | (drives - 1) * MORE_FLOPPIES if drives else 0)
        for register, byte in self.setup.items():
            self.cmos[<int> register] = <uint8_t> byte
        for i in range(CHECKSUMMED, CHECKSUM):
            checksum += self.cmos[i]
        self.cmos[CHECKSUM] = <uint8_t> (checksum >> 8)
        self.cmos[CHECKSUM + 1] = <uint8_t> checksum

    cdef void put_word(self, int register, uint32_t value):
        self.cmos[register] = <uint8_t> value
        self.cmos[register + 1] = <uint8_t> (value >> 8)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef int register = self.index & 0x7F
        cdef uint8_t value
        if offset == INDEX:
            return 0xFF
        if register == A:
            return self.cmos[A] | (A_UIP if self.update_in_progress() else 0)
        if register == C:
            self.sync()
            value = self.cmos[C] | (C_IRQF if self.cmos[C] & self.cmos[B] & C_FLAGS else 0)
            self.cmos[C] = 0
            self.settle()
            return value
        if register == D:
            return D_VRT
        if self.is_time(register):
            self.sync()
        return self.cmos[register]

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        """A string takes no time: all elements read the same, except for flags that the first one has cleared."""
        cdef uint8_t value
        if count:
            value = <uint8_t> self.io_read(offset, 1)
            memset(data, 0 if offset != INDEX and self.index & 0x7F == C else value, count)
            data[0] = value

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        """A string takes no time, and within none a byte written again changes nothing, except in B: see write_b()."""
        cdef uint32_t i
        for i in range(count):
            if i == 0 or data[i] != data[i - 1] or self.index & 0x7F == B:
                self.io_write(offset, 1, data[i])

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef int register = self.index & 0x7F
        cdef uint8_t byte = <uint8_t> value
        if offset == INDEX:
            self.index = byte
        elif register == A:
            self.write_a(byte & ~A_UIP)
        elif register == B:
            self.write_b(byte)
        elif register < A or register == CENTURY:       # time and alarm
            self.sync()
            self.cmos[register] = byte
            self.alarm_update = 0
            self.settle()
        elif register != C and register != D:
            self.cmos[register] = byte

    cdef void write_a(self, uint8_t value) noexcept nogil:
        cdef bint was_frozen = self.frozen()
        cdef bint was_held = not self.divider_runs()
        self.sync()
        self.cmos[A] = value
        if was_held and self.divider_runs():
            self.phase_ns = (SECOND_NS + SECOND_NS // 2 - self.clock.wall() % SECOND_NS) % SECOND_NS
            self.last_update = self.chain() // SECOND_NS    # the chain may have gone back, also while SET is set
        self.last_edge = self.edge_number(self.chain())
        self.thaw(was_frozen)
        self.settle()

    cdef void write_b(self, uint8_t value) noexcept nogil:
        cdef bint was_frozen = self.frozen()
        cdef uint8_t before = self.cmos[B]
        self.sync()
        if value & ~before & B_SET:
            value &= ~B_UIE
        self.cmos[B] = value
        if not was_frozen and not self.frozen() and (value ^ before) & (B_BINARY | B_24H):
            self.convert(before)
        self.thaw(was_frozen)
        self.settle()

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """The index only says what the next access is about."""
        return postable(1) if offset == INDEX else 0

    # Side effects: the divider chain and the calendar.

    cdef inline bint is_time(self, int register) noexcept nogil:
        return (register <= YEAR and register != SECONDS_ALARM and register != MINUTES_ALARM
                and register != HOURS_ALARM or register == CENTURY)

    cdef inline bint divider_runs(self) noexcept nogil:
        return self.cmos[A] & A_DIVIDER <= DV_32768

    cdef inline bint frozen(self) noexcept nogil:
        return self.cmos[B] & B_SET or not self.divider_runs()

    cdef inline uint64_t chain(self) noexcept nogil:
        return self.clock.wall() + self.phase_ns

    cdef bint update_in_progress(self) noexcept nogil:
        return not self.frozen() and self.chain() % SECOND_NS >= SECOND_NS - UIP_NS

    cdef uint32_t period(self) noexcept nogil:
        """Between periodic edges, in 1/32768 s; 0 for none."""
        cdef uint32_t rate = self.cmos[A] & A_RATE
        if rate == 0 or not self.divider_runs():
            return 0
        if rate <= 2 and self.cmos[A] & A_DIVIDER == DV_32768:
            return 64 << rate
        return 1 << (rate - 1)

    cdef uint64_t edge_number(self, uint64_t chain_ns) noexcept nogil:
        cdef uint32_t period = self.period()
        if period == 0:
            return 0
        return chain_ns // SECOND_NS * (32768 // period) + chain_ns % SECOND_NS * 32768 // SECOND_NS // period

    cdef uint64_t edge_time(self, uint64_t number) noexcept nogil:
        """When on the chain the edge comes, in ns, rounded up. There must be a rate."""
        cdef uint32_t period = self.period()
        cdef uint32_t per_second = 32768 // period
        return number // per_second * SECOND_NS + (number % per_second * period * SECOND_NS + 32767) // 32768

    cdef void sync(self) noexcept nogil:
        """Set the flags of all that happened since the last sync."""
        cdef uint64_t now = self.chain()
        cdef uint64_t edge = self.edge_number(now)
        if edge != self.last_edge:
            self.cmos[C] |= C_PF
            self.last_edge = edge
        if not self.frozen() and now // SECOND_NS > self.last_update:
            self.cmos[C] |= C_UF
            if self.next_alarm() <= now // SECOND_NS:
                self.cmos[C] |= C_AF
                self.alarm_update = 0
            self.count_on(now // SECOND_NS - self.last_update)
            self.last_update = now // SECOND_NS

    cdef void thaw(self, bint was_frozen) noexcept nogil:
        """After a write to A or B."""
        self.alarm_update = 0
        if was_frozen and not self.frozen():
            self.last_update = self.chain() // SECOND_NS

    cdef void show_time(self, int64_t seconds) noexcept nogil:
        """Set the time bytes to a time in s since 1970."""
        cdef int64_t days = floor_divide(seconds, DAY_S)
        cdef int of_day = <int> (seconds - days * DAY_S)
        self.cmos[SECONDS] = self.encode(of_day % 60)
        self.cmos[MINUTES] = self.encode(of_day // 60 % 60)
        self.cmos[HOURS] = self.encode_hour(of_day // 3600)
        self.cmos[WEEKDAY] = <uint8_t> (days + 4 - floor_divide(days + 4, 7) * 7 + 1)
        self.show_date(days)

    cdef void show_date(self, int64_t days) noexcept nogil:
        cdef Date date = date_of(days)
        cdef int64_t century = floor_divide(date.year, 100)
        self.cmos[DAY] = self.encode(date.day)
        self.cmos[MONTH] = self.encode(date.month)
        self.cmos[YEAR] = self.encode(<int> (date.year - century * 100))
        self.cmos[CENTURY] = self.encode(<int> (century - floor_divide(century, 100) * 100))

    cdef void count_on(self, uint64_t seconds) noexcept nogil:
        """Let the counters take so many updates. What no carry reaches stays as it was written."""
        cdef uint64_t carry = self.count(SECONDS, seconds, 60)
        carry = self.count(MINUTES, carry, 60)
        if carry:
            carry += clamp(self.hour_of(self.cmos[HOURS]), 0, 23)
            self.cmos[HOURS] = self.encode_hour(<int> (carry % 24))
            carry //= 24
        if carry:
            self.cmos[WEEKDAY] = <uint8_t> ((clamp(self.cmos[WEEKDAY], 1, 7) - 1 + carry) % 7 + 1)
            self.show_date(days_of(self.date()) + <int64_t> carry)

    cdef uint64_t count(self, int register, uint64_t carry, int limit) noexcept nogil:
        """Add to one counter of 0 to limit - 1; returns the carry."""
        if not carry:
            return 0
        carry += clamp(self.decode(self.cmos[register]), 0, limit - 1)
        self.cmos[register] = self.encode(<int> (carry % limit))
        return carry // limit

    cdef Date date(self) noexcept nogil:
        """The date in the time bytes; the nearest one if they hold no valid date."""
        cdef Date date
        cdef int days_in_month
        date.year = clamp(self.decode(self.cmos[CENTURY]), 0, 99) * 100 + clamp(self.decode(self.cmos[YEAR]), 0, 99)
        date.month = clamp(self.decode(self.cmos[MONTH]), 1, 12)
        days_in_month = MONTH_DAYS[date.month - 1]
        if date.month == 2 and date.year % 4 == 0 and (date.year % 100 or date.year % 400 == 0):
            days_in_month = 29
        date.day = clamp(self.decode(self.cmos[DAY]), 1, days_in_month)
        return date

    cdef void convert(self, uint8_t before) noexcept nogil:
        """B has just changed DM or 24/12, from `before`: the same time in the new form. What is no number stays."""
        cdef uint8_t now = self.cmos[B]
        cdef int i, register, number
        for i in range(TIMES):
            register = TIME_BYTES[i]
            self.cmos[B] = before
            number = self.hour_of(self.cmos[register]) if register == HOURS else self.decode(self.cmos[register])
            self.cmos[B] = now
            if register == HOURS and number < 24:
                self.cmos[register] = self.encode_hour(number)
            elif register != HOURS and number < 100:
                self.cmos[register] = self.encode(number)

    cdef inline uint8_t encode_hour(self, int hour) noexcept nogil:
        if self.cmos[B] & B_24H:
            return self.encode(hour)
        return self.encode((hour + 11) % 12 + 1) | (PM if hour >= 12 else 0)

    cdef inline uint8_t encode(self, int number) noexcept nogil:
        return <uint8_t> (number if self.cmos[B] & B_BINARY else number // 10 << 4 | number % 10)

    cdef inline int decode(self, uint8_t byte) noexcept nogil:
        return byte if self.cmos[B] & B_BINARY else (byte >> 4) * 10 + (byte & 15)

    cdef int hour_of(self, uint8_t byte) noexcept nogil:
        """The hour in an hours byte, 0 to 23; 24 or more if the byte is no valid hour."""
        cdef int hour
        if self.cmos[B] & B_24H:
            return self.decode(byte)
        hour = self.decode(byte & ~PM)
        if not 1 <= hour <= 12:
            return 24
        return hour % 12 + (12 if byte & PM else 0)

    cdef inline int alarm_of(self, int number, uint8_t byte, int limit) noexcept nogil:
        return ANY if byte >= DONT_CARE else number if number < limit else NO_MATCH

    def time_of_day_s(self):
        """Seconds since midnight, as the time registers say."""
        self.sync()
        return ((clamp(self.hour_of(self.cmos[HOURS]), 0, 23) * 60 + clamp(self.decode(self.cmos[MINUTES]), 0, 59)) * 60
                + clamp(self.decode(self.cmos[SECONDS]), 0, 59))

    cdef uint64_t next_alarm(self) noexcept nogil:
        """The first update after the last one whose time matches the alarm bytes; NEVER if none can."""
        if self.alarm_update == 0:
            self.alarm_update = self.find_alarm()
        return self.alarm_update

    cdef uint64_t find_alarm(self) noexcept nogil:
        cdef int hour = self.alarm_of(self.hour_of(self.cmos[HOURS_ALARM]), self.cmos[HOURS_ALARM], 24)
        cdef int minute = self.alarm_of(self.decode(self.cmos[MINUTES_ALARM]), self.cmos[MINUTES_ALARM], 60)
        cdef int second = self.alarm_of(self.decode(self.cmos[SECONDS_ALARM]), self.cmos[SECONDS_ALARM], 60)
        cdef int start = (clamp(self.hour_of(self.cmos[HOURS]), 0, 23) * 3600
                          + clamp(self.decode(self.cmos[MINUTES]), 0, 59) * 60
                          + clamp(self.decode(self.cmos[SECONDS]), 0, 59) + 1) % DAY_S      # of the next update
        cdef int start_minute = start // 60     # of the day
        cdef int i, at, from_second
        if hour == NO_MATCH or minute == NO_MATCH or second == NO_MATCH:
            return NEVER
        for i in range(24 * 60 + 1):
            at = (start_minute + i) % (24 * 60)
            if hour != ANY and at // 60 != hour or minute != ANY and at % 60 != minute:
                continue
            from_second = start % 60 if i == 0 else 0
            if second == ANY or second >= from_second:
                at = i * 60 + (from_second if second == ANY else second) - start % 60
                return self.last_update + 1 + <uint64_t> at
        return NEVER

    cdef void settle(self) noexcept nogil:
        """After any change: drive the line and set the timer for the next event that can raise it."""
        cdef uint8_t waited = self.cmos[B] & C_FLAGS & ~self.cmos[C]
        cdef uint64_t event = NEVER
        cdef uint64_t now
        self.irq.drive(self.cmos[C] & self.cmos[B] & C_FLAGS)
        if waited & C_PF and self.period():
            event = self.edge_time(self.last_edge + 1)
        if waited & C_UF and not self.frozen():
            event = min(event, (self.last_update + 1) * SECOND_NS)
        if waited & C_AF and not self.frozen() and self.next_alarm() != NEVER:
            event = min(event, self.next_alarm() * SECOND_NS)
        if event != NEVER:
            now = self.chain()
            self.timer.arm(self.clock.now() + (event - now if event > now else 0))
        elif self.timer.deadline != NEVER:
            self.timer.disarm()

    cdef void on_timer(self, int number) noexcept nogil:
        self.sync()
        self.settle()

    cdef declare(self, Fields fields):
        fields.u8("index", &self.index)
        fields.u8s("cmos", self.cmos, REGISTERS)
        fields.u64("phase_ns", &self.phase_ns)
        fields.u64("last_update", &self.last_update)
        fields.u64("last_edge", &self.last_edge)

    cdef consistent(self, dict record):
        cmos = record["cmos"]
        if cmos[A] & A_UIP or cmos[C] & ~C_FLAGS or cmos[D]:
            raise StateError(f"{self.name}: field cmos is no contents of {REGISTERS} registers")
        if record["phase_ns"] >= SECOND_NS:
            raise StateError(f"{self.name}: field phase_ns is a second or more")
        if record["last_update"] > NEVER // SECOND_NS - DAY_S * 2 or record["last_edge"] > NEVER // SECOND_NS << 15:
            raise StateError(f"{self.name}: field last_update or last_edge lies beyond the end of time")

    cdef after_load(self, dict record):
        if self.chain() // SECOND_NS < self.last_update:        # another host's clock is behind: go on from here
            self.last_update = self.chain() // SECOND_NS
        self.alarm_update = 0
        self.settle()
