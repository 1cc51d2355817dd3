# SPDX-License-Identifier: GPL-2.0-or-later
"""x87 errors with CR0.NE clear: FERR#, IRQ 13 and port F0h (SDM vol. 1, appendix D)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hyperport.devices.fpu_error import FpuError
from hyperport.lines.attention import StopKind
from hyperport.lines.irq import IrqLine
from hyperport.machine.machine import Machine

from .board import START, Board

LINE = 5  # of the master, which alone is programmed
VECTOR = 0x25
MF = 16
RETURN, COUNT, STATUS = 0x510, 0x512, 0x514  # what the handlers leave in memory

DIVIDE = """\
    d9 ee          ; fldz
    d9 e8          ; fld1
    d8 f1          ; fdiv st0, st1
"""
BEGIN = f"""\
    db e3          ; fninit
    c7 06 00 05 7b 03 ; mov word [0x500], 0x37b: division by zero is not masked
    d9 2e 00 05    ; fldcw [0x500]
{DIVIDE}"""
NOTE = """\
    89 e5          ; mov bp, sp
    8b 46 00       ; mov ax, [bp]
    a3 10 05       ; mov [0x510], ax
    ff 06 12 05    ; inc word [0x512]
"""
ANSWER = f"""\
{NOTE}
    e6 f0          ; out 0xf0, al
    db e2          ; fnclex
    cf             ; iret
"""


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board()
    for offset, value in ((0, 0x11), (1, 0x20), (1, 0x04), (1, 0x03), (1, 0x00)):  # automatic EOI
        made.pic.write(offset, 1, value)
    chip = FpuError(made.line(LINE))
    made.bus.attach(chip, 0xF0)
    made.engine.connect_ferr(IrqLine(chip, 0))
    yield made
    made.engine.close()


def test_the_interrupt_comes_before_the_fwait(board: Board) -> None:
    listing = f"{BEGIN} fb ; sti\n 90 ; nop\n 9b ; fwait\n 9b ; fwait\n f4 ; hlt"
    assert board.real(listing, {VECTOR: ANSWER}).kind == StopKind.HALT
    length = 2 + 6 + 4 + 6
    assert (board.word(COUNT, 2), board.word(RETURN, 2)) == (1, START + length + 2)


def test_the_shadow_of_sti_does_not_cover_a_fwait_that_waits(board: Board) -> None:
    board.real(f"{BEGIN} fb ; sti\n 9b ; fwait\n f4 ; hlt", {VECTOR: ANSWER})
    assert (board.word(COUNT, 2), board.word(RETURN, 2)) == (1, START + 18 + 1)


def test_with_interrupts_off_the_request_waits_and_the_guest_goes_on(board: Board) -> None:
    board.real(f"{BEGIN} fa ; cli\n 9b ; fwait\n fb ; sti\n 90 ; nop\n 90 ; nop\n f4 ; hlt", {VECTOR: ANSWER})
    assert (board.word(COUNT, 2), board.word(RETURN, 2)) == (1, START + 18 + 4)


def test_port_f0_takes_the_request_back(board: Board) -> None:
    listing = f"{BEGIN} 9b ; fwait\n e6 f0 ; out 0xf0, al\n fb ; sti\n 90 ; nop\n 90 ; nop\n f4 ; hlt"
    board.real(listing, {VECTOR: ANSWER})
    assert board.word(COUNT, 2) == 0


def test_an_error_that_stays_is_told_once(board: Board) -> None:
    keeps = f"{NOTE} e6 f0 ; out 0xf0, al\n cf ; iret"
    board.real(f"{BEGIN} fb ; sti\n 90 ; nop\n 9b ; fwait\n 9b ; fwait\n d9 d0 ; fnop\n f4 ; hlt", {VECTOR: keeps})
    assert board.word(COUNT, 2) == 1


@pytest.mark.parametrize(
    "clear",
    [
        "db e2 ; fnclex",
        "db e3 ; fninit\n d9 2e 00 05 ; fldcw [0x500]",
        "dd 36 00 06 ; fnsave [0x600]\n d9 2e 00 05 ; fldcw",
    ],
)
def test_the_next_error_is_told_again(board: Board, clear: str) -> None:
    handler = f"{NOTE} e6 f0 ; out 0xf0, al\n cf ; iret"
    again = f"{clear}\n{DIVIDE} 9b ; fwait\n"
    board.real(f"{BEGIN} fb ; sti\n 90 ; nop\n 9b ; fwait\n {again} {again} f4 ; hlt", {VECTOR: handler})
    assert board.word(COUNT, 2) == 3


@pytest.mark.parametrize(
    ("told", "status"), [("", 0xB084), ("9b ; fwait\n", 0xB084), ("9b ; fwait\n db e2 ; fnclex\n", 0x3000)]
)
def test_the_guest_does_not_see_that_an_error_was_told(board: Board, told: str, status: int) -> None:
    board.real(f"{BEGIN} {told} dd 3e 14 05 ; fnstsw [0x514]\n f4 ; hlt")
    assert board.word(STATUS, 2) == status


def test_with_ne_it_is_mf_and_no_interrupt(board: Board) -> None:
    ne = "0f 20 c0 ; mov eax, cr0\n 66 83 c8 20 ; or eax, 0x20\n 0f 22 c0 ; mov cr0, eax\n"
    clears = f"{NOTE} db e2 ; fnclex\n cf ; iret"
    board.real(f"{ne}{BEGIN} fb ; sti\n 90 ; nop\n 9b ; fwait\n 90 ; nop\n f4 ; hlt", {MF: clears, VECTOR: ANSWER})
    assert (board.word(COUNT, 2), board.word(RETURN, 2)) == (1, START + 10 + 18 + 2)
    assert board.engine.counters().exceptions == {MF: 1}
    assert board.engine.counters().interrupts == {}


def test_a_masked_error_is_not_told(board: Board) -> None:
    masked = f"db e3 ; fninit\n {DIVIDE} fb ; sti\n 90 ; nop\n 9b ; fwait\n 90 ; nop\n f4 ; hlt"
    board.real(masked, {VECTOR: ANSWER})
    assert board.word(COUNT, 2) == 0


def test_on_a_machine_it_is_irq_13() -> None:
    with Machine() as machine:
        assert machine.lines.owners[13] == "fpu-error"
        assert machine.bus.owner(0xF0) == machine.bus.owner(0xF1) == "fpu-error"
        wire = IrqLine(machine.board.fpu_error, 0)
        wire.pulse()
        machine.bus.outp(0xA0, 1, 0x0A)
        assert machine.bus.inp(0xA0) & 0x20
        machine.bus.outp(0xF0, 1, 0)
        assert not machine.bus.inp(0xA0) & 0x20
