# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.devices.rtc146818 import Rtc146818
from hyperport.errors import ConfigError, StateError
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import VirtualClock

SECOND = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
A, B, C, D = 0x0A, 0x0B, 0x0C, 0x0D
CENTURY = 0x32
SET, PIE, AIE, UIE, BINARY, H24 = 0x80, 0x40, 0x20, 0x10, 0x04, 0x02
IRQF, PF, AF, UF = 0x80, 0x40, 0x20, 0x10


class Rig:
    """An RTC on a virtual clock that starts at a whole second."""

    def __init__(self, start: datetime = datetime(2007, 8, 22, 5, 29, 4, tzinfo=UTC), memory_size: int = 0) -> None:
        self.clock = VirtualClock(int((start - EPOCH).total_seconds()) * SECOND)
        self.irq = IrqLine()
        self.rtc = Rtc146818(self.clock, self.irq, memory_size)

    def __getitem__(self, register: int) -> int:
        self.rtc.write(0, 1, register)
        return self.rtc.read(1)

    def __setitem__(self, register: int, value: int) -> None:
        self.rtc.write(0, 1, register)
        self.rtc.write(1, 1, value)

    def time(self) -> tuple[int, ...]:
        """Century, year, month, day, weekday, hours, minutes, seconds as they read."""
        return tuple(self[register] for register in (CENTURY, 9, 8, 7, 6, 4, 2, 0))

    def set_time(self, moment: datetime) -> None:
        """As a kernel does it, in binary and 24 hours."""
        self[B] = self[B] | SET | BINARY | H24
        for register, value in (
            (CENTURY, moment.year // 100),
            (9, moment.year % 100),
            (8, moment.month),
            (7, moment.day),
            (6, moment.isoweekday() % 7 + 1),
            (4, moment.hour),
            (2, moment.minute),
            (0, moment.second),
        ):
            self[register] = value
        self[B] = self[B] & ~SET

    def binary(self) -> datetime:
        century, year, month, day, _, hour, minute, second = self.time()
        return datetime(century * 100 + year, month, day, hour, minute, second, tzinfo=UTC)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_shows_utc_in_bcd_and_24_hours(rig: Rig) -> None:
    assert rig.time() == (0x20, 0x07, 0x08, 0x22, 4, 0x05, 0x29, 0x04)
    assert (rig[A], rig[B], rig[D]) == (0x26, 0x02, 0x80)


def test_index_port_is_write_only_and_ignores_the_nmi_bit(rig: Rig) -> None:
    rig.rtc.write(0, 1, 0x80 | 9)
    assert rig.rtc.read(0) == 0xFF
    assert rig.rtc.read(1) == 0x07


@pytest.mark.parametrize(("hour", "byte"), [(0, 0x12), (1, 0x01), (11, 0x11), (12, 0x92), (13, 0x81), (23, 0x91)])
def test_12_hour_mode(hour: int, byte: int) -> None:
    rig = Rig(datetime(2007, 8, 22, hour, 0, 0, tzinfo=UTC))
    rig[B] = 0
    assert rig[4] == byte
    rig[B] = SET
    rig[4] = byte
    rig[B] = 0
    rig[B] = H24 | BINARY
    assert rig[4] == hour


@given(
    moment=st.datetimes(datetime(1600, 1, 1), datetime(9998, 12, 31)),
    later=st.integers(0, 400 * 86400),
)
def test_calendar_agrees_with_python(moment: datetime, later: int) -> None:
    rig = Rig()
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    rig.set_time(moment)
    assert rig.binary() == moment
    rig.clock.advance(later * SECOND)
    expected = moment + timedelta(seconds=later)
    assert rig.binary() == expected
    assert rig[6] == expected.isoweekday() % 7 + 1


def test_weekday_counts_from_what_the_guest_wrote(rig: Rig) -> None:
    rig[6] = 7
    rig.clock.advance(86400 * SECOND)
    assert rig[6] == 1


def test_set_freezes_the_time_bytes(rig: Rig) -> None:
    rig[B] = SET | H24
    rig.clock.advance(100 * SECOND)
    assert rig[0] == 0x04
    rig[0] = 0x7F
    assert rig[0] == 0x7F, "while frozen they are RAM"
    rig[B] = H24
    assert rig[0] == 0x7F, "and what they hold is the time from then on"
    rig.clock.advance(SECOND)
    assert (rig[2], rig[0]) == (0x30, 0x00), "out of its range, the counter wraps with the next carry"


@given(
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2089, 12, 31)),
    before=st.datetimes(datetime(1990, 1, 1), datetime(2089, 12, 31)),
    order=st.permutations([CENTURY, 9, 8, 7, 6, 4, 2, 0]),
    frozen=st.booleans(),
)
def test_a_date_may_be_written_byte_by_byte_in_any_order(
    moment: datetime, before: datetime, order: list[int], frozen: bool
) -> None:
    rig = Rig(before.replace(microsecond=0, tzinfo=UTC))
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    rig[B] = BINARY | H24 | (SET if frozen else 0)
    values = {
        CENTURY: moment.year // 100,
        9: moment.year % 100,
        8: moment.month,
        7: moment.day,
        6: moment.isoweekday() % 7 + 1,
        4: moment.hour,
        2: moment.minute,
        0: moment.second,
    }
    for done, register in enumerate(order, 1):
        rig[register] = values[register]
        assert [rig[written] for written in order[:done]] == [values[written] for written in order[:done]]
    rig[B] = BINARY | H24
    assert rig.binary() == moment
    rig.clock.advance(SECOND)
    assert rig.binary() == moment + timedelta(seconds=1)


@pytest.mark.parametrize("register", [0, 2, 4, 6, 7, 8, 9, CENTURY])
@pytest.mark.parametrize("value", [0x00, 0x1F, 0x75, 0xFF])
def test_a_byte_stays_as_written_until_a_carry_reaches_it(rig: Rig, register: int, value: int) -> None:
    rig[register] = value
    assert rig[register] == value
    if register:
        rig.clock.advance(20 * SECOND)
        assert rig[register] == value
    rig.clock.advance(2 * 86400 * SECOND)
    _, _, month, day, weekday, hour, minute, second = rig.time()
    assert 1 <= month <= 0x12
    assert 1 <= day <= 0x31
    assert 1 <= weekday <= 7
    assert (hour <= 0x23, minute <= 0x59, second <= 0x59) == (True, True, True)


def test_a_day_beyond_its_month_ends_with_the_next_midnight() -> None:
    rig = Rig(datetime(2023, 2, 15, 12, 0, 0, tzinfo=UTC))
    rig[7] = 0x31
    rig.clock.advance(12 * 3600 * SECOND - 1)
    assert (rig[8], rig[7]) == (0x02, 0x31)
    rig.clock.advance(1)
    assert (rig[8], rig[7]) == (0x03, 0x01)


def test_a_change_of_form_converts_a_running_time_and_no_frozen_one(rig: Rig) -> None:
    rig[5], rig[B] = 0x17, H24 | BINARY
    assert (rig[4], rig[2], rig[5]) == (5, 29, 0x17), "the alarm's bytes stay"
    rig[B] = SET | H24 | BINARY
    rig[B] = SET | H24
    assert rig[2] == 29
    rig[B] = H24
    assert rig[2] == 0x1D, "and is read as BCD from then on"


@pytest.mark.parametrize(("rate", "divider", "hertz"), [(1, 0, 32768), (2, 0, 16384), (1, 0x10, 32768), (15, 0x10, 2)])
def test_periodic_rates_of_the_other_crystals(rig: Rig, rate: int, divider: int, hertz: int) -> None:
    rig[A] = divider | rate
    rig[C], rig[B] = 0, PIE | H24
    rig[C]
    assert rig.clock.next_deadline_ns() == -(-SECOND // hertz)


def test_set_keeps_the_phase_of_the_second(rig: Rig) -> None:
    rig.clock.advance(SECOND // 4)
    rig[B] = SET | H24
    rig[0] = 0x30
    rig[B] = H24
    rig.clock.advance(SECOND * 3 // 4 - 1)
    assert rig[0] == 0x30
    rig.clock.advance(1)
    assert rig[0] == 0x31


@pytest.mark.parametrize("wait_ns", [SECOND // 10, SECOND * 9 // 10])
def test_a_chain_that_goes_back_while_time_is_set_is_loaded_as_it_was_saved(rig: Rig, wait_ns: int) -> None:
    rig[B] = SET | H24
    for _ in range(4):  # each start of the divider moves the chain, forth or back
        rig[A] = 0x76
        rig.clock.advance(wait_ns)
        rig[A] = 0x26
        saved = rig.rtc.save()
        rig.rtc.reset()
        rig.rtc.load(saved)
        assert rig.rtc.save() == saved


def test_divider_reset_delays_the_first_update_by_half_a_second(rig: Rig) -> None:
    rig.clock.advance(SECOND // 5)
    rig[A] = 0x76
    rig.clock.advance(10 * SECOND)
    assert rig[0] == 0x04
    rig[A] = 0x26
    rig.clock.advance(SECOND // 2 - 1)
    assert (rig[0], rig[A]) == (0x04, 0xA6)
    rig.clock.advance(1)
    assert (rig[0], rig[A]) == (0x05, 0x26)


def test_uip_is_high_for_244_us_before_each_update(rig: Rig) -> None:
    rig.clock.advance(SECOND - 244_001)
    assert rig[A] == 0x26
    rig.clock.advance(1)
    assert rig[A] == 0xA6
    rig[B] = SET | H24
    assert rig[A] == 0x26
    rig[B] = H24
    rig.clock.advance(244_000)
    assert rig[A] == 0x26


def test_uip_is_not_writable(rig: Rig) -> None:
    rig[A] = 0xA6
    assert rig[A] == 0x26


def test_idle_rtc_arms_no_timer(rig: Rig) -> None:
    rig[0x05] = 0x06
    assert rig[C] == 0
    assert rig.clock.next_deadline_ns() is None


def test_update_flag_without_interrupt(rig: Rig) -> None:
    assert rig[C] == 0
    rig.clock.advance(3 * SECOND)
    assert rig[C] & ~PF == UF
    assert rig[C] == 0
    assert rig.irq.level == 0


def test_update_interrupt(rig: Rig) -> None:
    rig[B] = UIE | H24
    rig[C]
    rig.clock.advance(SECOND - 1)
    assert rig.irq.level == 0
    rig.clock.advance(1)
    assert rig.irq.level == 1
    assert rig[C] & ~PF == IRQF | UF
    assert rig.irq.level == 0
    rig.clock.advance(SECOND)
    assert rig.irq.level == 1


def test_set_takes_uie_away(rig: Rig) -> None:
    rig[B] = UIE | H24
    rig[B] = SET | UIE | H24
    assert rig[B] == SET | H24


@pytest.mark.parametrize(
    ("rate", "hertz"),
    [(1, 256), (2, 128), (3, 8192), (4, 4096), (6, 1024), (10, 64), (15, 2)],
)
def test_periodic_rates(rig: Rig, rate: int, hertz: int) -> None:
    rig[A] = 0x20 | rate
    rig[B] = PIE | H24
    rig[C]
    interrupts = 0
    for _ in range(hertz // 2):
        rig.clock.advance((rig.clock.next_deadline_ns() or 0) - rig.clock.now_ns())
        assert rig.irq.level == 1
        interrupts += rig[C] >> 7
        assert rig.irq.level == 0
    assert interrupts == hertz // 2
    assert rig.clock.now_ns() == SECOND // 2


def test_periodic_rate_zero_is_off(rig: Rig) -> None:
    rig[A] = 0x20
    rig[B] = PIE | H24
    rig.clock.advance(5 * SECOND)
    assert rig[C] == UF
    assert rig.irq.level == 0


def test_periodic_edges_missed_are_one_and_the_phase_stays(rig: Rig) -> None:
    rig[B] = PIE | H24
    rig[C]
    rig.clock.advance(SECOND * 5 // 2048)
    assert rig[C] & PF
    assert not rig[C] & PF
    assert rig.clock.next_deadline_ns() == -(-SECOND * 3 // 1024)


def test_no_timer_while_the_flag_is_pending(rig: Rig) -> None:
    rig[B] = PIE | H24
    rig.clock.advance(SECOND)
    assert rig.irq.level == 1
    assert rig.clock.next_deadline_ns() is None


def test_enabling_with_the_flag_set_interrupts_at_once(rig: Rig) -> None:
    rig.clock.advance(SECOND)
    rig[B] = UIE | H24
    assert rig.irq.level == 1


@pytest.mark.parametrize(
    ("hour", "minute", "second", "after"),
    [
        (0x05, 0x29, 0x05, 1),
        (0x05, 0x29, 0x04, 86400),
        (0xFF, 0x30, 0x00, 56),
        (0xC0, 0xC0, 0x03, 59),
        (0xFF, 0xFF, 0xFF, 1),
        (0x05, 0x28, 0xFF, 86400 - 64),
        (0x00, 0xFF, 0xFF, 18 * 3600 + 30 * 60 + 56),
        (0x06, 0x00, 0x00, 30 * 60 + 56),
    ],
)
def test_alarm(rig: Rig, hour: int, minute: int, second: int, after: int) -> None:
    rig[5], rig[3], rig[1] = hour, minute, second
    rig[B] = AIE | H24
    rig[C]
    assert rig.clock.next_deadline_ns() == after * SECOND
    rig.clock.advance(after * SECOND - 1)
    assert rig.irq.level == 0
    rig.clock.advance(1)
    assert rig.irq.level == 1
    assert rig[C] & ~PF == IRQF | AF | UF


def test_alarm_in_12_hour_mode(rig: Rig) -> None:
    rig[B] = AIE
    rig[5], rig[3], rig[1] = 0x81, 0x00, 0x00
    assert rig.clock.next_deadline_ns() == (13 * 3600 - 5 * 3600 - 29 * 60 - 4) * SECOND


@pytest.mark.parametrize("register", [1, 3, 5])
def test_alarm_that_no_time_matches(rig: Rig, register: int) -> None:
    rig[B] = AIE | H24
    rig[register] = 0x77
    assert rig.clock.next_deadline_ns() is None
    rig.clock.advance(2 * 86400 * SECOND)
    assert not rig[C] & AF


def test_alarm_follows_a_new_time(rig: Rig) -> None:
    rig[B] = AIE | H24
    rig[5], rig[3], rig[1] = 0x12, 0x00, 0x00
    rig.set_time(datetime(2020, 2, 29, 11, 59, 50, tzinfo=UTC))
    rig[B] = AIE | H24
    assert rig.clock.next_deadline_ns() == 10 * SECOND


@settings(max_examples=40)
@given(
    at=st.integers(0, 86399),
    alarm=st.tuples(st.integers(0, 25), st.integers(0, 61), st.integers(0, 61)),
    wild=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_alarm_agrees_with_a_search(at: int, alarm: tuple[int, ...], wild: tuple[bool, ...]) -> None:
    rig = Rig(EPOCH + timedelta(days=10000, seconds=at))
    rig[B] = AIE | BINARY | H24
    for register, value, any_value in zip((5, 3, 1), alarm, wild, strict=True):
        rig[register] = 0xFF if any_value else value
    expected = None
    for after in range(1, 86401):
        moment = (at + after) % 86400
        fields = (moment // 3600, moment // 60 % 60, moment % 60)
        if all(w or v == f for v, f, w in zip(alarm, fields, wild, strict=True)):
            expected = after * SECOND
            break
    assert rig.clock.next_deadline_ns() == expected


@pytest.mark.parametrize(
    ("mib", "base", "extended", "high"),
    [(0, 0, 0, 0), (1, 640, 0, 0), (8, 640, 7 * 1024, 0), (64, 640, 63 * 1024, 768), (2048, 640, 65535, 32512)],
)
def test_memory_size_bytes(mib: int, base: int, extended: int, high: int) -> None:
    rig = Rig(memory_size=mib << 20)
    words = {low: rig[low] | rig[low + 1] << 8 for low in (0x15, 0x17, 0x30, 0x34)}
    assert words == {0x15: base, 0x17: extended, 0x30: extended, 0x34: high}


def test_memory_size_has_a_limit() -> None:
    with pytest.raises(ConfigError):
        Rig(memory_size=1 << 40)


def test_ram_and_checksum() -> None:
    rig = Rig(memory_size=64 << 20)
    assert sum(rig[register] for register in range(0x10, 0x2E)) == rig[0x2E] << 8 | rig[0x2F]
    assert (rig[0x0E], rig[0x10], rig[0x14]) == (0, 0, 0x02)
    rig[0x7F] = 0xA5
    assert rig[0x7F] == 0xA5
    rig[D] = 0
    rig[C] = 0xFF
    assert (rig[D], rig[C]) == (0x80, 0)


def test_a_record_from_a_clock_that_is_ahead_goes_on_from_its_own_time(rig: Rig) -> None:
    other = Rig(datetime(2031, 1, 1, 12, 0, 0, tzinfo=UTC))
    rig.rtc.load(other.rtc.save())
    assert (rig[9], rig[4]) == (0x31, 0x12)
    rig.clock.advance(SECOND)
    assert rig[0] == 0x01


def test_state_keeps_guest_time_across_clocks(rig: Rig) -> None:
    rig.set_time(datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC))
    record = rig.rtc.save()
    other = Rig(datetime(2007, 8, 22, 5, 29, 4, tzinfo=UTC))
    other.clock.advance(2 * SECOND)
    other.rtc.load(record)
    assert other.binary() == datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_load_arms_the_timer(rig: Rig) -> None:
    rig[B] = UIE | H24
    record = rig.rtc.save()
    other = Rig()
    other.rtc.load(record)
    assert other.clock.next_deadline_ns() == SECOND


@pytest.mark.parametrize(
    "change",
    [
        {"cmos": [0] * 127},
        {"phase_ns": SECOND},
        {"last_update": (1 << 64) - 1},
        {"last_edge": (1 << 64) - 1},
        {"cmos": [0xFF] * 128},
    ],
)
def test_impossible_records_are_refused(rig: Rig, change: dict[str, object]) -> None:
    with pytest.raises(StateError):
        rig.rtc.load(rig.rtc.save() | change)
