# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that a test scripts: what expect() sees, where it stops the guest, and how it fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hyperport import Device, Direction, GuestExit, HaltedForever, Reset, Timeout, VirtualClock
from hyperport.errors import ConfigError
from hyperport.guests.registry import locate
from hyperport.testing import ExpectError, GuestMachine
from tests.conftest import fnv1a, machine_code

MIB = 1 << 20
LIMIT_S = 60.0

SAY_AND_EXIT = """
    66 ba f8 03     ; mov $0x3f8, %dx
    b0 78           ; mov $'x', %al
    ee              ; out %al, (%dx)
    b0 0a           ; mov $'\\n', %al
    ee              ; out %al, (%dx)
    b0 07           ; mov $7, %al
    e6 f4           ; out %al, $0xf4
    fa f4           ; cli; hlt
"""
SAY_AND_SPIN = """
    66 ba f8 03     ; mov $0x3f8, %dx
    b0 3e           ; mov $'>', %al
    ee              ; out %al, (%dx)
    eb fe           ; jmp .
"""
COUNT_AT_300 = """
    66 ba 00 03     ; mov $0x300, %dx
    40              ; 1: inc %eax
    ee              ; out %al, (%dx)
    eb fc           ; jmp 1b
"""


def flat(directory: Path, listing: str, **settings: Any) -> GuestMachine:
    image = directory / "guest.bin"
    image.write_bytes(machine_code(listing))
    return GuestMachine(kernel=image, flat=(0x10000, "protected"), **{"memory": 2 * MIB, "timeout": LIMIT_S} | settings)


def built_in(name: str, append: str = "", **settings: Any) -> GuestMachine:
    return GuestMachine(kernel=locate(name).kernel, append=append, timeout=LIMIT_S, memory=32 * MIB, **settings)


def test_a_dialogue() -> None:
    with built_in("echo") as machine:
        machine.expect("echo: ready\n")
        machine.send("hello")
        machine.expect("HELLO")
        machine.send(b" world\x04")
        match = machine.expect(r"echo: (\d+) bytes, fnv1a (\w+), 0 overruns\n")
        assert match.groups() == ("11", f"{fnv1a(b'hello world'):08x}")
        assert match.string[: match.start()] == " WORLD\n"
        machine.expect_exit(0)
        assert machine.text.startswith("echo: ready\n")


def test_input_beyond_the_buffers_follows_while_the_guest_runs() -> None:
    text = b"0123456789" * 10_000
    with built_in("echo") as machine:
        machine.expect("echo: ready")  # what comes before is lost as the guest clears its FIFO
        machine.send(text + b"\x04")
        assert machine.expect(r"echo: (\d+) bytes").group(1) == str(len(text))


def test_the_guest_stands_still_between_calls() -> None:
    with built_in("echo") as machine:
        machine.expect("echo: ready")
        before = machine.bus.counts()
        machine.send("x")
        assert machine.bus.counts() == before


def test_a_prompt_without_a_newline_is_seen(tmp_path: Path) -> None:
    with flat(tmp_path, SAY_AND_SPIN) as machine:
        machine.expect(">")


def test_a_guest_that_ends_right_after_the_text_has_ended(tmp_path: Path) -> None:
    """The pause that expect() asks for must not swallow the end, which comes in the same block of guest code."""
    with flat(tmp_path, SAY_AND_EXIT) as machine:
        machine.expect("x\n")
        machine.expect_exit(7)
        assert machine.outcome == GuestExit(7)


def test_each_match_uses_its_text_up(tmp_path: Path) -> None:
    with flat(tmp_path, SAY_AND_EXIT) as machine:
        machine.expect("x")
        with pytest.raises(ExpectError, match=re.escape("did not show 'x': the guest exited with value 7")):
            machine.expect("x")
        machine.expect("\n")
        assert machine.pending == ""


def test_a_guest_that_hangs_fails_in_time(tmp_path: Path) -> None:
    with flat(tmp_path, SAY_AND_SPIN, timeout=0.1) as machine:
        with pytest.raises(ExpectError, match=r"'ready': 0\.1 s are over; its last line: '>'"):
            machine.expect("ready")
        with pytest.raises(ExpectError, match=r"stopped after 0\.05 s.*, where Reset was expected"):
            machine.expect_outcome(Reset, timeout=0.05)
        assert isinstance(machine.run(), Timeout)
        assert machine.outcome is None


def test_the_wrong_end_is_told(tmp_path: Path) -> None:
    with flat(tmp_path, SAY_AND_EXIT) as machine:
        with pytest.raises(ExpectError, match=r"the guest exited with value 7, not 0; its last line: 'x'"):
            machine.expect_exit(0)
        with pytest.raises(ExpectError, match=r"exited with value 7, where HaltedForever was expected"):
            machine.expect_outcome(HaltedForever)


def test_ends_are_typed() -> None:
    with built_in("outcome", "halt") as machine:
        assert machine.expect_outcome(HaltedForever).state.halted


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_output_in_pieces_is_put_together(piece: int) -> None:
    sent = "line 1\r\nGrüße\r\n\rend \r\n".encode() * 20
    machine = GuestMachine(timeout=0.1)
    for at in range(0, len(sent), piece):
        machine.console.emit(sent[at : at + piece])
        machine.console.drain()
    assert machine.pending == "line 1\nGrüße\n\rend \n" * 20
    for _ in range(20):
        machine.expect("Gr..e\n")
    assert machine.pending == "\rend \n"
    machine.close()


def test_a_flood_that_nobody_expects_is_bounded() -> None:
    machine = GuestMachine(timeout=0.1)
    for _ in range(300):
        machine.console.emit(b"z" * 9_999 + b"\n")
    machine.console.emit(b"last\n")
    assert len(machine.pending) <= 1 << 20
    machine.expect("z\nlast\n")
    assert machine.pending == ""
    machine.close()


def test_a_virtual_clock_does_not_matter(tmp_path: Path) -> None:
    with flat(tmp_path, SAY_AND_EXIT, clock=VirtualClock()) as machine:
        machine.expect("x")
        machine.expect_exit(7)


class Refuses(Device):
    """Asserts what a driver must not do."""

    def write(self, offset: int, size: int, value: int) -> None:
        assert value != 5, "five is forbidden"


def test_an_assertion_in_a_device_fails_the_test(tmp_path: Path) -> None:
    with flat(tmp_path, COUNT_AT_300, record=[0x300]) as machine:
        machine.attach(Refuses(), 0x300)
        with pytest.raises(AssertionError, match="five is forbidden"):
            machine.expect("never")
        assert machine.written(0x300)[:5] == [1, 2, 3, 4, 5]


def test_accesses_that_fell_out_of_the_log_are_not_kept_silent_about(tmp_path: Path) -> None:
    with flat(tmp_path, COUNT_AT_300) as machine:
        while machine.log.complete(0x300):
            machine.run(timeout=0.01)
        with pytest.raises(ExpectError, match=r"port 0x300 are not all in the log: give the machine record=\[0x300\]"):
            machine.accesses(0x300)
        assert len(machine.accesses()) == 65536
        machine.log.clear()
        assert machine.accesses(0x300) == []


def test_elements_and_directions() -> None:
    machine = GuestMachine(timeout=1)
    machine.bus.outp(0x300, 2, 0x1234)
    machine.bus.outp_block(0x300, 2, b"\x01\x00\x02\x00")
    machine.bus.inp(0x300)
    assert machine.written(0x300) == [0x1234, 1, 2]
    assert machine.read(0x300) == [0xFF]
    assert [row.count for row in machine.accesses(0x300, Direction.OUT)] == [1, 2]
    assert "out 0300 2 x 2: 0100 0200" in machine.report()["accesses, last 20"]
    machine.close()
    assert machine.report()["machine"].endswith("closed")


def test_the_console_is_the_machines_own() -> None:
    with pytest.raises(ConfigError, match="its own"):
        GuestMachine(serial=None)


# The screen.

WRITE_AND_SPIN = """
    31 c0           ; xor %eax, %eax: the screen is blank for a while
    40              ; 1: inc %eax
    a9 00 00 10 00  ; test $0x100000, %eax
    74 f8           ; jz 1b
    c7 05 a0 80 0b 00 4f 07 4b 07 ; movl $"OK", 0xb80a0: the second line
    eb fe           ; jmp .
"""
WRITE_AND_HALT = """
    c7 05 00 80 0b 00 4e 07 6f 07 ; movl $"No", 0xb8000
    fa f4           ; cli; hlt
"""


def test_expect_screen_lets_the_guest_run_until_the_text_is_there(tmp_path: Path) -> None:
    with flat(tmp_path, WRITE_AND_SPIN) as machine:
        match = machine.expect_screen(re.compile(r"^O(.)$", re.MULTILINE))
        assert match.group(1) == "K"
        assert match.string.startswith("\nOK\n")
        assert machine.expect_screen("OK").group() == "OK", "nothing is used up"
        with pytest.raises(ExpectError, match=r"the screen did not show 'KO': 0.1 s are over; its last line: 'OK'$"):
            machine.expect_screen("KO", timeout=0.1)
        assert machine.report()["screen"] == "\nOK"


def test_expect_screen_says_how_the_guest_ended(tmp_path: Path) -> None:
    with flat(tmp_path, WRITE_AND_HALT) as machine:
        for _ in range(2):
            with pytest.raises(ExpectError, match=r"the screen did not show 'Yes': .*halted.*; its last line: 'No'$"):
                machine.expect_screen("Yes")
        assert machine.expect_screen("N").start() == 0
        kept = machine
    assert kept.report()["screen"] == "No"


def test_expect_screen_of_a_blank_one_and_of_one_in_a_graphics_mode(tmp_path: Path) -> None:
    with flat(tmp_path, "eb fe") as machine:
        with pytest.raises(ExpectError, match=r"'x': 0 s are over; it is blank$"):
            machine.expect_screen("x", timeout=0)
        assert "screen" not in machine.report()
        machine.bus.outp(0x3CE, 1, 6)
        machine.bus.outp(0x3CF, 1, 0x05)
        with pytest.raises(ExpectError, match=r"'x': 0 s are over; it is in a graphics mode$"):
            machine.expect_screen("x", timeout=0)
