# SPDX-License-Identifier: GPL-2.0-or-later
"""The built-in guests on our own engine, through the Python API."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hyperport import (
    GuestExit,
    HaltedForever,
    Machine,
    MemoryBackend,
    Outcome,
    Panic,
    PowerOff,
    Reset,
    Timeout,
    TripleFault,
    VirtualClock,
)

from ..boot.images import elf
from ..conftest import LIMIT_S, MIB, built_in, fnv1a, machine_code, run_guest

DATA = Path(__file__).parent / "data"
BIN = Path(__file__).parents[2] / "src" / "hyperport" / "guests" / "bin"
ECHO_BYTES = 60_000


def test_demo() -> None:
    outcome, text = run_guest("demo")
    assert outcome == GuestExit(0)
    assert "20 interrupts at 100 Hz" in text
    assert text.endswith("done\n")


def test_demo_in_virtual_time() -> None:
    clock = VirtualClock()
    outcome, text = run_guest("demo", clock=clock)
    assert outcome == GuestExit(0)
    assert 189_000_000 <= clock.now_ns() <= 201_000_000  # 20 ticks at 100 Hz; outside HLT virtual time stands still
    assert run_guest("demo", clock=VirtualClock()) == (outcome, text)


@pytest.mark.parametrize(
    ("word", "kind", "status"),
    [
        ("reset8042", Reset, 0),
        ("resetcf9", Reset, 0),
        ("reset92", Reset, 0),
        ("poweroff", PowerOff, 0),
        ("triple", TripleFault, 80),
        ("halt", HaltedForever, 84),
        ("panic", Panic, 82),
    ],
)
def test_outcomes(word: str, kind: type[Outcome], status: int) -> None:
    outcome, text = run_guest("outcome", word)
    assert (type(outcome), outcome.status) == (kind, status)
    assert text.startswith(f"outcome: {word}\n")


def test_panic_names_its_line() -> None:
    assert run_guest("outcome", "panic")[0] == Panic("Kernel panic - not syncing: test")


@pytest.mark.parametrize(("value", "status"), [(0, 1), (5, 11), (127, 255), (128, 1)])
def test_guest_exit(value: int, status: int) -> None:
    outcome, _ = run_guest("outcome", f"exit {value}")
    assert outcome == GuestExit(value)
    assert outcome.status == status


def test_a_guest_that_hangs_is_stopped_and_goes_on() -> None:
    with built_in("outcome", "hang") as machine:
        assert machine.run(timeout=0.3) == Timeout(0.3)
        where = machine.engine.state()
        assert machine.run(timeout=0.05).status == 124
        assert replace(machine.engine.state(), tsc=None) == replace(where, tsc=None)


@pytest.mark.parametrize("word", ["badtr", "callgate_badtr"])
def test_a_stack_switch_through_the_tss_of_reset_is_a_triple_fault(word: str) -> None:
    """After reset TR holds a TSS at address 0 (SDM vol. 3, 9.1.1), where no stack is to be found."""
    assert isinstance(run_guest("outcome", word)[0], TripleFault)


def test_an_interrupt_from_ring_3_without_a_tss_is_the_guests_own_end() -> None:
    """#TS, then #DF, then shutdown, as on a processor: the core itself would give up."""
    outcome, _ = run_guest("outcome", "nulltr")
    assert isinstance(outcome, TripleFault)
    assert outcome.status == 80
    assert run_guest("outcome", "exit 3")[0] == GuestExit(3)


def test_faults_as_accepted() -> None:
    outcome, text = run_guest("faults")
    assert text == (DATA / "faults.txt").read_text()
    assert outcome == GuestExit(0)


def test_stress() -> None:
    outcome, text = run_guest("stress", "irqs=15000 seed=7")
    assert text.splitlines()[-1].endswith(" irqs, 0 errors"), text
    assert outcome == GuestExit(0)


def test_echo_loses_nothing() -> None:
    sent = bytes(byte for byte in random.Random(16550).randbytes(ECHO_BYTES + 1000) if byte != 4)[:ECHO_BYTES]
    console = MemoryBackend()
    with built_in("echo", serial=console) as machine:

        def type_in() -> None:
            rest = sent + b"\x04"
            while b"ready" not in console.output():  # the guest empties the FIFO first
                time.sleep(0.001)
            while rest:
                rest = rest[console.feed(rest[:4096]) :]

        keyboard = threading.Thread(target=type_in, daemon=True)
        keyboard.start()
        outcome = machine.run(timeout=LIMIT_S)
    keyboard.join(LIMIT_S)
    greeting, _, rest = console.output().partition(b"\r\n")
    echoed, report = rest[: len(sent)], rest[len(sent) :]
    assert greeting == b"echo: ready"
    assert echoed == sent.upper()
    assert report == f"\r\necho: {len(sent)} bytes, fnv1a {fnv1a(sent):08x}, 0 overruns\r\n".encode()
    assert outcome == GuestExit(0)


def test_real_mode() -> None:
    text = MemoryBackend()
    with Machine(kernel=BIN / "realmode.bin", flat=(0x7C00, "real"), memory=2 * MIB, debugcon=text) as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
    assert text.output() == b"real mode: int 60h\nreal mode: irq 0\nprotected mode\nreal mode again\n"


def test_multiboot_module_reaches_the_guest(tmp_path: Path) -> None:
    kernel, module, text = tmp_path / "kernel", tmp_path / "module", MemoryBackend()
    code = machine_code("""\
        8b 73 18     ; mov esi, [ebx + 24]       first module
        8b 4e 04     ; mov ecx, [esi + 4]        its end
        8b 5e 08     ; mov ebx, [esi + 8]        its arguments
        8b 36        ; mov esi, [esi]            its start
        29 f1        ; sub ecx, esi
        66 ba e9 00  ; mov dx, 0xe9
        f3 6e        ; rep outsb
        89 de        ; mov esi, ebx
        ac           ; 1: lodsb
        84 c0        ; test al, al
        74 03        ; jz 2f
        ee           ; out dx, al
        eb f8        ; jmp 1b
        e6 f4        ; 2: out 0xf4, al
        """)
    kernel.write_bytes(elf([(0x100000, 0x100000, code, len(code))], 0x100000))
    module.write_bytes(b"what the module holds; ")
    with Machine(kernel=kernel, modules=((module, "and its words"),), memory=8 * MIB, debugcon=text) as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
    assert text.output().startswith(b"what the module holds; ")
    assert text.output().endswith(b"and its words")


def test_two_machines_take_turns() -> None:
    first, second = built_in("stress", "irqs=4000 seed=1"), built_in("stress", "irqs=4000 seed=2")
    running, outcomes = [first, second], []
    while running:
        machine = running.pop(0)
        outcome = machine.run(timeout=0.02)
        if isinstance(outcome, Timeout):
            running.append(machine)
        else:
            outcomes.append(outcome)
            machine.close()
    assert outcomes == [GuestExit(0), GuestExit(0)]


def test_two_machines_at_once() -> None:
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda seed=seed: outcomes.append(run_guest("stress", f"irqs=4000 seed={seed}")[0]))
        for seed in (3, 4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert outcomes == [GuestExit(0), GuestExit(0)]
