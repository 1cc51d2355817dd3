# SPDX-License-Identifier: GPL-2.0-or-later
"""The KVM engine beside Unicorn, with guests small enough for a KVM without hardware: real mode, or flat and polled.

Whatever hangs is stopped after LIMIT_S, and is then not what the test expects.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperport import ConfigError, EngineAbort, EngineError, GuestExit, Machine, MemoryBackend
from hyperport.abi.numbers import ROM_BASE, VMI_BY_NAME
from hyperport.abi.rom import build_rom
from hyperport.cpu.state import REGISTERS, Table, protected_flat, real_mode
from hyperport.devices.testdev import TestDevice
from hyperport.engines.base import Stop
from hyperport.engines.kvm import api
from hyperport.engines.kvm.engine import KvmEngine
from hyperport.engines.kvm.host import Host
from hyperport.lines.attention import Attention, StopKind
from hyperport.lines.irq import IrqLine

from ..conftest import MIB, command, lacking, machine_code, run_guest
from ..guest.board import BIN
from .board import START, Board

pytestmark = pytest.mark.usefixtures("kvm")

LIMIT_S: Final = 20.0
CODE, BUFFER, SIZE = 0x10_0000, 0x20_0000, 0x1_0000
PORT = 0x340
ENGINES = ("unicorn", "kvm")
CALLS = ("INB", "INW", "INL", "OUTB", "OUTW", "OUTL", "INSB", "INSW", "INSL", "OUTSB", "OUTSW", "OUTSL")
NATIVE = {
    "INB": "ec", "INW": "66ed", "INL": "ed", "OUTB": "ee", "OUTW": "66ef", "OUTL": "ef",
    "INSB": "f36c", "INSW": "f3666d", "INSL": "f36d", "OUTSB": "f36e", "OUTSW": "f3666f", "OUTSL": "f36f",
}  # fmt: skip
ONCE = {name: code.removeprefix("f3") for name, code in NATIVE.items() if "S" in name}


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board("kvm")
    alarm = threading.Timer(LIMIT_S, made.attention.stop, (StopKind.TIMEOUT,))
    alarm.start()
    yield made
    alarm.cancel()
    made.engine.close()


def run_flat(engine: str, io: str, code: bytes, registers: dict[str, int]) -> tuple[dict[str, Any], int]:
    """Run code in flat protected mode; all that the guest and the device can tell of it, and the crossings."""
    with Machine(memory=4 * MIB, engine=engine, io=io) as machine:
        machine.bus.attach(TestDevice(), PORT)
        elements: list[tuple[int, int, bytes]] = []
        machine.bus.observe(
            lambda access: elements.extend(
                (int(access.direction), access.size, access.data[at : at + access.size])
                for at in range(0, len(access.data), access.size)
            )
        )
        machine.memory.write(CODE, code + b"\xf4")
        machine.memory.write(BUFFER, bytes(i * 7 & 0xFF for i in range(SIZE)))
        state = protected_flat(eip=CODE)
        state.edx, state.esp = PORT, 0x9000
        for name, value in registers.items():
            setattr(state, name, value)
        machine.engine.set_state(state)
        alarm = threading.Timer(LIMIT_S, machine.request_stop, (StopKind.TIMEOUT,))
        alarm.start()
        stop = machine.engine.run()
        alarm.cancel()
        after = machine.engine.state()
        counts = machine.bus.counts()
        seen = {name: getattr(after, name) for name in (*REGISTERS, "eip", "eflags")}
        return (
            {"stop": stop.kind, "registers": seen, "memory": machine.memory.read(BUFFER, SIZE), "device": elements},
            sum(count.crossings for count in counts),
        )


def call_code(name: str, at: int = CODE) -> bytes:
    """call rel32, at this address, to the ROM's code for a call."""
    offsets = {number: offset for offset, number in build_rom(None).doorbells.items()}
    target = ROM_BASE + offsets[VMI_BY_NAME[name].number]
    return b"\xe8" + (target - at - 5 & 0xFFFFFFFF).to_bytes(4, "little")


ACCESS = {
    "count": st.integers(0, 300),
    "offset": st.integers(0x0FF0, 0x1010) | st.integers(0x3000, 0xC000),
    "down": st.booleans(),
    "eax": st.integers(0, 0xFFFFFFFF),
    "flags": st.integers(0, 0xFF).map(lambda bits: bits & 0xD5),
}
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def registers_of(count: int, offset: int, down: bool, eax: int, flags: int) -> dict[str, int]:
    at = BUFFER + offset
    return {"eax": eax, "ecx": count, "esi": at, "edi": at, "eflags": flags | 2 | (1 << 10 if down else 0)}


@FEW
@given(code=st.sampled_from(sorted({*NATIVE.values(), *ONCE.values(), "e440", "e540", "67f36c", "67f36e"})), **ACCESS)
def test_instructions_are_the_same_as_on_unicorn(
    code: str, count: int, offset: int, down: bool, eax: int, flags: int
) -> None:
    given_registers = registers_of(count, offset, down, eax, flags)
    if code.startswith("67"):
        given_registers |= {"esi": 0x5_0000 | offset & 0x7FFF, "edi": 0x5_0000 | offset & 0x7FFF}
    theirs, ours = (run_flat(engine, "exit", bytes.fromhex(code), given_registers)[0] for engine in ENGINES)
    assert theirs["stop"] == StopKind.HALT
    assert ours == theirs


@FEW
@given(name=st.sampled_from(CALLS), **ACCESS)
def test_calls_are_the_same_as_on_unicorn(name: str, count: int, offset: int, down: bool, eax: int, flags: int) -> None:
    given_registers = registers_of(count, offset, down, eax, flags)
    theirs, ours = (run_flat(engine, "hypercall", call_code(name), given_registers)[0] for engine in ENGINES)
    assert theirs["stop"] == StopKind.HALT
    assert ours == theirs


def test_a_string_of_512_bytes_is_one_crossing_by_call() -> None:
    registers = {"esi": BUFFER + 0xF00, "ecx": 256}
    assert run_flat("kvm", "exit", bytes.fromhex(NATIVE["OUTSW"]), registers)[1] == 256
    assert run_flat("kvm", "hypercall", call_code("OUTSW"), registers)[1] == 1


def test_a_string_longer_than_an_interrupt_window_is_done_again() -> None:
    registers = {"esi": BUFFER, "ecx": 5000}
    by_call, crossings = run_flat("kvm", "hypercall", call_code("OUTSB"), registers)
    assert crossings == 2
    assert by_call == run_flat("unicorn", "hypercall", call_code("OUTSB"), registers)[0]


def test_the_doorbell_elsewhere_is_an_ordinary_out() -> None:
    number = VMI_BY_NAME["INB"].number
    seen, _ = run_flat("kvm", "hypercall", bytes([0xE6, number]), {"eax": 0x1234})
    assert seen["registers"]["eax"] == 0x1234
    assert seen["device"] == [(1, 1, b"\x34")]


def test_a_kernel_that_does_not_share_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    has = api.VirtualMachine.has
    monkeypatch.setattr(api.VirtualMachine, "has", lambda vm, cap: 0 if cap == api.Cap.SYNC_REGS else has(vm, cap))
    for name in ("INW", "OUTSW"):
        registers = registers_of(256, 0, False, 0x12345678, 0)
        theirs, ours = (run_flat(engine, "hypercall", call_code(name), registers) for engine in ENGINES)
        assert ours == theirs


def test_a_running_guest_is_kicked(board: Board) -> None:
    threading.Timer(0.1, board.attention.stop, (StopKind.QUIT,)).start()
    assert board.protected("40 eb fd ; inc eax; jmp").kind == StopKind.QUIT
    assert board.state().eip in (START, START + 1)
    counted = board.state().eax
    threading.Timer(0.1, board.attention.stop, (StopKind.QUIT,)).start()
    assert board.engine.run().kind == StopKind.QUIT
    assert board.state().eax > counted > 0


def test_stop_requests_of_all_kinds_lose_no_access(board: Board) -> None:
    """Stops at arbitrary points of a loop of INs: every IN is completed exactly once."""
    board.bus.attach(Counter(), PORT)
    listing = """
        ed          ; next: in eax, dx
        43          ; inc ebx
        39d8        ; cmp eax, ebx
        74fa        ; je next
        f4          ; an answer was lost or came twice
    """
    board.memory.write(START, machine_code(listing))
    state = protected_flat(eip=START)
    state.edx = PORT
    board.engine.set_state(state)
    for number in range(60):
        threading.Timer(0.0003 * (number % 7), board.attention.stop, (StopKind.QUIT,)).start()
        assert board.engine.run().kind == StopKind.QUIT
    assert board.state().ebx > 60


class Counter:
    """Reads give 1, 2, 3, ..."""

    widths = (4,)
    span = 4
    value = 0

    def read(self, offset: int, size: int) -> int:
        self.value += 1
        return self.value

    def write(self, offset: int, size: int, value: int) -> None:
        pass


class Pulser:
    """Pulses its line at every write."""

    def __init__(self, irq: IrqLine | None = None) -> None:
        self.irq = irq or IrqLine()

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self.irq.pulse()


class Mover(Pulser):
    """A Pulser that also has the guest stopped, now and then: so a run has stops however the host's time goes."""

    def __init__(self, irq: IrqLine, attention: Attention) -> None:
        super().__init__(irq)
        self.attention, self.left = attention, 100

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        self.left -= 1
        if not self.left:
            self.left = 100 + value * 7 % 200
            self.attention.stop(StopKind.QUIT)


TICKS = """
    fb          ; sti
    e8 0c 00    ; call raise
    fa          ; cli
    e8 08 00    ; call raise: held back
    90          ; nop
    fb          ; sti: delivered behind the next instruction
    90          ; nop
    f4          ; hlt: no third one comes
    fa f4 90 90 ; cli; hlt: where a poor KVM delivers late, the first HLT is left
    ba 40 03    ; raise: mov dx, PORT
    ee          ; out dx, al
    c3          ; ret
"""
ON_TICK = "2e ff 06 00 30 50 b0 20 e6 20 58 cf ; inc word [0x3000]; push ax; mov al, 0x20; out 0x20, al; pop ax; iret"


def test_interrupts_and_their_window(board: Board) -> None:
    board.bus.attach(Pulser(board.line(3)), PORT)
    board.bus.attach(board.pic, 0x20, 2)
    stop = board.real(TICKS, {0x23: ON_TICK})
    assert stop.kind == StopKind.HALT
    assert board.word(0x3000, 2) == 2
    assert board.engine.counters().interrupts == {0x23: 2}
    assert board.engine.counters().hlts == 1


def test_halted_guest_wakes_and_goes_on(board: Board) -> None:
    assert board.real("fb f4 40 f4 ; sti; hlt; inc ax; hlt", {0x23: "cf"}).kind == StopKind.HALT
    assert board.engine.halted
    assert board.engine.run().kind == StopKind.HALT  # nothing has come
    assert board.state().eax == 0
    board.line(3).set(1)
    assert board.engine.run().kind == StopKind.HALT
    assert board.state().eax == 1


def test_no_interrupt_wakes_a_halt_with_interrupts_off(board: Board) -> None:
    assert board.real("fa f4 40 f4 ; cli; hlt; inc ax; hlt").kind == StopKind.HALT
    board.line(3).set(1)
    assert board.engine.run().kind == StopKind.HALT
    assert board.state().eax == 0


def test_vga_hole_and_beyond_ram_float_high(board: Board) -> None:
    stop = board.protected("""
        a1 00000a00     ; mov eax, [0xa0000]
        890d 00000a00   ; mov [0xa0000], ecx
        8b1d 00000080   ; mov ebx, [0x80000000]
        f4
    """)
    assert stop.kind == StopKind.HALT
    after = board.state()
    assert (after.eax, after.ebx) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert board.engine.counters().mmio >= 3


def test_triple_fault(board: Board) -> None:
    assert board.protected("0f0b ; ud2, with an IDT of nothing").kind == StopKind.TRIPLE_FAULT
    assert board.engine.run().kind == StopKind.TRIPLE_FAULT
    assert board.protected("f4").kind == StopKind.HALT


def test_what_kvm_cannot_emulate_ends_the_guest_with_registers(kvm: Host, board: Board) -> None:
    if kvm.interrupt_return:
        pytest.skip("this KVM runs what the test needs it to fail at")
    board.memory.write(0x2010, (0x00CF9B000000FFFF).to_bytes(8, "little"))
    board.memory.write(START, machine_code("cf ; iret"))
    state = protected_flat(eip=START, gdtr=Table(0x2000, 0x1F))
    state.esp, state.eax = 0x8000, 0xCAFE
    board.engine.set_state(state)
    stop = board.engine.run()
    assert stop.kind == StopKind.ENGINE_ABORT
    assert stop.text is not None
    assert f"at 0010:0000{START:04x}, code cf" in stop.text
    assert stop.state is not None
    assert stop.state.eax == 0xCAFE
    assert "\n" not in str(EngineAbort(stop.text, stop.state))


def test_a_state_that_no_processor_has_is_refused_in_one_line(board: Board) -> None:
    state = protected_flat(eip=START)
    state.cr0 |= 1 << 31  # paging
    state.cr0 &= ~1  # without protection
    with pytest.raises(EngineError, match="kvm: loading control and segment registers") as caught:
        board.engine.set_state(state)
    assert "\n" not in str(caught.value)


def test_a_paused_guest_moves_between_engines() -> None:
    """A real-mode guest under interrupts, stopped at arbitrary points, each time on another engine."""
    listing = """
        fb              ; sti
        ba 40 03        ; mov dx, PORT
        ee              ; next: out dx, al
        43              ; inc bx
        3b 1e 04 30     ; cmp bx, [0x3004]
        72 f8           ; jb next
        fa f4           ; cli; hlt
    """
    rounds = 5_000
    boards, wires, alarms = {}, {}, []
    for engine in ENGINES:
        boards[engine] = Board(engine)
        wires[engine] = boards[engine].line(3)
        boards[engine].bus.attach(Mover(wires[engine], boards[engine].attention), PORT)
        boards[engine].bus.attach(boards[engine].pic, 0x20, 2)
        alarms.append(threading.Timer(LIMIT_S, boards[engine].attention.stop, (StopKind.TIMEOUT,)))
        alarms[-1].start()
    here, there = boards["kvm"], boards["unicorn"]
    here.memory.write(0x3004, rounds.to_bytes(2, "little"))
    threading.Timer(0.02, here.attention.stop, (StopKind.QUIT,)).start()
    stop: Stop = here.real(listing, {0x23: ON_TICK})
    moves = 0
    while stop.kind == StopKind.QUIT:
        there.memory.write(0, here.memory.read(0, here.memory.size))
        wires[there.engine.name].set(wires[here.engine.name].level)
        there.pic.load(here.pic.save())
        there.engine.set_state(here.engine.state())
        here, there = there, here
        moves += 1
        threading.Timer(0.02 if here is boards["kvm"] else 0.0002, here.attention.stop, (StopKind.QUIT,)).start()
        stop = here.engine.run()
    assert stop.kind == StopKind.HALT
    assert moves >= rounds // 300  # Mover's stops; the timers' come at arbitrary points between them
    assert here.state().ebx == rounds
    assert here.word(0x3000, 2) == rounds
    assert sum(sum(board.engine.counters().interrupts.values()) for board in boards.values()) == rounds
    for alarm in alarms:
        alarm.cancel()
    for board in boards.values():
        board.engine.close()


WORKLOADS = {"cmos": "n=20", "pci": "n=2", "delay": "n=50", "strings": "n=1 width=2", "console": "n=20"}


@pytest.mark.parametrize(("name", "append"), WORKLOADS.items())
def test_workloads_read_the_same_as_on_unicorn(name: str, append: str) -> None:
    logs = {}
    for engine, io, ops in (("unicorn", "exit", "native"), ("kvm", "exit", "native"), ("kvm", "hypercall", "vmi")):
        outcome, text = run_guest(
            name, f"{append} ops={ops} tsc_khz=1000000", engine=engine, io=io, testdev=True, timeout=LIMIT_S
        )
        assert outcome == GuestExit(0), text
        logs[engine, io] = text.split(" ns ")[0]
    assert len(set(logs.values())) == 1, logs


def test_in_kernel_chips_tick_and_take_our_lines() -> None:
    """A real-mode guest counts three ticks of the kernel's timer, then one interrupt of our line 6."""
    listing = """
        b0 11 e6 20 b0 20 e6 21 b0 04 e6 21 b0 01 e6 21 ; ICW1 to ICW4: vectors from 0x20
        b0 be e6 21                                     ; OCW1: lines 0 and 6
        b0 34 e6 43 b0 a9 e6 40 b0 04 e6 40             ; channel 0, mode 2, 1 kHz
        fb                                              ; sti
        f4                                              ; wait: hlt
        83 3e 00 30 03                                  ; cmp word [0x3000], 3
        72 f8                                           ; jb wait
        fa b0 df e6 21                                  ; cli; only line 5
        ba 40 03 ee                                     ; mov dx, PORT; out dx, al
        fb f4                                           ; again: sti; hlt
        83 3e 00 30 00                                  ; cmp word [0x3000], 0
        75 f7                                           ; jne again
        ba f4 00 b0 15 ee                               ; mov dx, 0xf4; mov al, 21; out dx, al
    """
    with Machine(engine="kvm", kvm_irqchip=True, memory=2 * MIB) as machine:
        machine.attach(Pulser(), PORT, 5)
        machine.memory.write(0x9000, machine_code(ON_TICK))
        machine.memory.write(0x9100, machine_code("c7 06 00 30 00 00 50 b0 20 e6 20 58 cf ; as ON_TICK, but with 0"))
        machine.memory.write(4 * 0x20, (0x9000).to_bytes(4, "little"))
        machine.memory.write(4 * 0x25, (0x9100).to_bytes(4, "little"))
        machine.memory.write(START, machine_code(listing))
        machine.engine.set_state(real_mode(cs=0, ip=START, sp=START))
        assert machine.run(timeout=LIMIT_S) == GuestExit(21)
        assert {0x20, 0x21, 0x40, 0x43}.isdisjoint(count.port for count in machine.bus.counts())


def test_in_kernel_halt_is_left_by_a_kick() -> None:
    with Machine(engine="kvm", kvm_irqchip=True, memory=2 * MIB) as machine:
        machine.memory.write(START, machine_code("fa f4 40 f4 ; cli; hlt; inc ax; hlt"))
        machine.engine.set_state(real_mode(cs=0, ip=START))
        for _ in range(2):
            assert machine.run(timeout=0.1).kind == "timeout"
            assert machine.engine.state().halted
        assert machine.engine.state().eax == 0


@pytest.mark.parametrize("option", ["kvm_irqchip", "kvm_coalesce"])
def test_options_of_kvm_are_refused_elsewhere(option: str) -> None:
    options: dict[str, Any] = {option: True}
    with pytest.raises(ConfigError, match="belongs to the engine kvm, and this is unicorn"):
        Machine(engine="unicorn", **options)


@pytest.mark.parametrize("abi", ["kvm", "lguest"])
def test_other_conventions_are_refused(abi: str) -> None:
    with pytest.raises(ConfigError, match="engine kvm cannot offer ABI"):
        Machine(engine="kvm", io="hypercall", abi=("vmi", abi))


def test_ioeventfd_counts_writes_without_an_exit(board: Board) -> None:
    assert isinstance(board.engine, KvmEngine)
    fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    try:
        board.engine.signal_on_write(PORT, 1, fd)
        assert board.protected(f"ba {PORT & 0xFF:02x} {PORT >> 8:02x} 00 00 ee ee ee ec f4").kind == StopKind.HALT
        assert os.eventfd_read(fd) == 3
        assert [(count.port, count.accesses) for count in board.bus.counts()] == [(PORT, 1)]
    finally:
        os.close(fd)


def resources() -> tuple[int, int, int]:
    """Descriptors, threads and mappings of this process."""
    gc.collect()
    maps = Path("/proc/self/maps").read_text().count("\n")
    return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir())), maps


def start_and_stop() -> None:
    made = Board("kvm")
    made.protected("e6 80 f4")
    made.engine.close()


def test_nothing_is_leaked_by_start_and_stop() -> None:
    for _ in range(5):
        start_and_stop()
    before = resources()
    for _ in range(40):
        start_and_stop()
    after = resources()
    assert after[:2] == before[:2]
    assert after[2] <= before[2] + 8  # the allocator's own


def test_a_machine_that_cannot_be_made_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "CREATE_VCPU", 0xAEFF)
    before = resources()[0]
    with pytest.raises(EngineError, match="kvm: making a vCPU"):
        api.VirtualMachine()
    assert resources()[0] == before


def test_closed_engine_says_so(board: Board) -> None:
    board.engine.close()
    for use in (board.engine.run, board.engine.state):
        with pytest.raises(EngineError, match="kvm: the machine has been closed"):
            use()


def test_interrupt_of_the_process_ends_the_run(tmp_path: Path) -> None:
    image = tmp_path / "spin.bin"
    image.write_bytes(b"\xb0\x2e\xe6\xe9\xeb\xfe")  # mov al, '.'; out 0xe9, al; jmp $
    arguments = ["--kernel", str(image), "--flat", "0x10000,protected", "--engine", "kvm", "--serial", "null"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command(*arguments, "--debugcon", "stdio"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.read(1) == b"."
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGINT, errors


def test_a_fault_in_a_call_is_the_guests_own(request: pytest.FixtureRequest, kvm: Host) -> None:
    """REP OUTS by call over a page that is not there: #PF at the doorbell, and once it is there the rest goes out."""
    expected = paged_call("unicorn")
    assert expected[:4] == ("halted", 0, BUFFER + 0x1080, BUFFER + 0x1000)
    assert expected[5] == bytes(range(128, 256)) + bytes(range(128))
    if not kvm.paging:
        lacking(request.config, "32-bit paging does not work on this KVM")
    assert paged_call("kvm") == expected


def paged_call(engine: str) -> tuple[Any, ...]:
    directory, table, handler, idt, gdt = 0x3_0000, 0x3_1000, 0x3_2000, 0x3_3000, 0x3_4000
    with Machine(memory=4 * MIB, engine=engine, io="hypercall") as machine:
        machine.bus.attach(TestDevice(), PORT)
        data: list[bytes] = []
        machine.bus.observe(lambda access: data.append(access.data))
        pages = [n << 12 | 7 for n in range(1024)]
        pages[(BUFFER >> 12) + 1] = 0
        machine.memory.write(directory, (table | 7).to_bytes(4, "little"))
        machine.memory.write(table, b"".join(entry.to_bytes(4, "little") for entry in pages))
        machine.memory.write(BUFFER, bytes(range(256)) * 32)
        machine.memory.write(gdt + 0x10, (0x00CF9B000000FFFF).to_bytes(8, "little"))
        machine.memory.write(gdt + 0x18, (0x00CF93000000FFFF).to_bytes(8, "little"))
        gate = (handler & 0xFFFF) | 0x10 << 16 | 0x8E00 << 32 | (handler >> 16) << 48
        machine.memory.write(idt + 8 * 14, gate.to_bytes(8, "little"))
        entry = table + 4 * ((BUFFER >> 12) + 1)
        present = (BUFFER + 0x1000 | 7).to_bytes(4, "little")
        # pop [0x9100]: the error code; mov dword [entry], present; mov ebx, cr2; invlpg [ebx]; iret
        machine.memory.write(
            handler,
            bytes.fromhex("8f05 00910000 c705")
            + entry.to_bytes(4, "little")
            + present
            + bytes.fromhex("0f20d3 0f013b cf"),
        )
        machine.memory.write(CODE, call_code("OUTSB") + b"\xf4")
        state = protected_flat(eip=CODE, gdtr=Table(gdt, 0x1F))
        state.cr0, state.cr3, state.idtr = state.cr0 | 1 << 31, directory, Table(idt, 0x7F)
        state.edx, state.esp, state.esi, state.ecx = PORT, 0x9000, BUFFER + 0xF80, 256
        machine.engine.set_state(state)
        outcome = machine.run(timeout=LIMIT_S)
        after = machine.engine.state()
        return outcome.kind, after.ecx, after.esi, after.cr2, machine.memory.read(0x9100, 4), b"".join(data)


def test_no_kick_is_lost(board: Board) -> None:
    times = 200

    def kick() -> None:
        for _ in range(times):
            board.attention.stop(StopKind.PAUSE)
            while board.attention.stop_pending():
                time.sleep(0)

    board.memory.write(START, machine_code("eb fe"))
    board.engine.set_state(protected_flat(eip=START))
    thread = threading.Thread(target=kick)
    thread.start()
    for _ in range(times):
        assert board.engine.run().kind == StopKind.PAUSE
    thread.join()


@pytest.mark.parametrize("kind", ["", "-inline"])
def test_posted_writes_and_shadow_registers(kind: str) -> None:
    """As on Unicorn: the guest reads the same, and what it writes reaches the line in order."""
    said = {}
    for engine in ENGINES:
        console = MemoryBackend()
        kernel = BIN / f"console{kind}.elf"
        with Machine(
            kernel=kernel, append="ops=vmi n=300", memory=8 * MIB, engine=engine, io="exitless", serial=console
        ) as machine:
            assert machine.run(timeout=60) == GuestExit(0)
            assert machine.exitless is not None
            counts = machine.exitless.counts()
        said[engine] = console.output().decode().partition("ns ")[0]
        assert counts["posted"] > 200
        assert counts["shadowed"] > 200
        assert counts["refused"] == 0
    assert said["kvm"] == said["unicorn"]
    with pytest.raises(ConfigError, match="leave out --kvm-irqchip"):
        Machine(engine="kvm", io="exitless", kvm_irqchip=True)
    with pytest.raises(ConfigError, match="leave out --kvm-coalesce"):
        Machine(engine="kvm", io="exitless", kvm_coalesce=True)
