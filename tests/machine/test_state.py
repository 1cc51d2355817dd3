# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole machine is saved and restored: what comes back, what is refused, and when it may be asked for."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from hyperport import CharBackend, Device, GuestExit, HaltedForever, Machine, MemoryBackend, Timeout
from hyperport.errors import HostError, StateError, ThreadError
from hyperport.host.specs import DiskSpec
from hyperport.lines.attention import StopKind
from hyperport.machine.state import load_state, save_state
from hyperport.machine.state_file import write_state
from hyperport.testing.fuzz_state import Held, fuzz_files, fuzz_records, fuzz_restores
from hyperport.testing.saved_guest import attach, busy_machine
from hyperport.time.clock import Clock, RealClock, VirtualClock
from hyperport.time.insn_clock import InsnClock
from hyperport.time.options import ClockSpec

from ..guest.board import BIN

LIMIT_S = 60
PAGE = 4096
LOOP = bytes.fromhex("e680ebfc")  # 1: out 0x80, al; jmp 1b


def steady(machine: Machine) -> dict[str, Any]:
    record, _ = save_state(machine)
    return record | {"cpu": record["cpu"] | {"tsc": 0}}


def test_everything_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "a.state"
    with busy_machine(tmp_path) as machine:
        size = machine.save(file)
        assert size == file.stat().st_size
        before, ram = steady(machine), machine.memory.read(0, 1 << 20)
        overlay = machine.drives.images["hda"].read_sectors(9, 2)
    with Machine.restore(file, attach=attach) as restored:
        assert steady(restored) == before
        assert restored.memory.read(0, 1 << 20) == ram
        assert restored.drives.images["hda"].read_sectors(9, 2) == overlay == b"\x5a" * 1024
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.state", "disk.img"]


def ends_of(machine: Machine) -> list[CharBackend]:
    """All that a chip may have input from, in the order in which they are found from the machine on."""
    found: list[CharBackend] = []
    seen, next_ones = {id(machine)}, [machine]
    while next_ones:
        one: Any = next_ones.pop(0)
        if isinstance(one, CharBackend):
            found.append(one)
        for part in gc.get_referents(one):
            if id(part) not in seen and not isinstance(part, type | ModuleType | FunctionType):
                seen.add(id(part))
                next_ones.append(part)
    return found


def test_what_waits_at_each_end_comes_back(tmp_path: Path) -> None:
    file, empty = tmp_path / "a.state", CharBackend().room()
    with busy_machine(tmp_path) as machine:
        for number, end in enumerate(ends_of(machine), 1):
            end.drop_input()
            end.feed(bytes(range(4 * number)))
        before = [empty - end.room() for end in ends_of(machine)]
        machine.save(file)
    assert len(before) >= 6
    with Machine.restore(file, attach=attach) as restored:
        assert sorted(empty - end.room() for end in ends_of(restored)) == sorted(before)


@pytest.mark.parametrize("engine", ["unicorn", "scripted", "kvm"])
def test_each_engine_takes_what_it_gave(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if engine == "kvm":
        request.getfixturevalue("kvm")
    with Machine(memory=1 << 20, engine=engine) as machine:
        machine.save(tmp_path / "a.state")
        before = steady(machine)
    with Machine.restore(tmp_path / "a.state") as restored:
        after = steady(restored)
    for record in (before, after):
        del record["clock"]
    assert after == before


def test_a_file_that_is_restored_and_saved_is_the_same_to_the_byte(tmp_path: Path) -> None:
    with busy_machine(tmp_path, clock=InsnClock()) as machine:
        machine.save(tmp_path / "a.state")
    with Machine.restore(tmp_path / "a.state", attach=attach) as restored:
        restored.save(tmp_path / "b.state")
    assert (tmp_path / "a.state").read_bytes() == (tmp_path / "b.state").read_bytes()


@pytest.mark.parametrize(
    ("clock", "kind"),
    [
        (None, InsnClock),
        ("insns", InsnClock),
        ("real", RealClock),
        (ClockSpec(4), InsnClock),
        (RealClock(), RealClock),
        (VirtualClock(), VirtualClock),
    ],
)
def test_time_goes_on_by_the_clock_that_is_asked_for(clock: Any, kind: type[Clock], tmp_path: Path) -> None:
    with Machine(memory=1 << 20, engine="unicorn", clock="insns") as machine:
        machine.clock.advance(1 << 50)  # type: ignore[attr-defined]
        machine.save(tmp_path / "a.state")
    with Machine.restore(tmp_path / "a.state", clock=clock) as restored:
        assert type(restored.clock) is kind
        assert (1 << 50) <= restored.clock.now_ns() < (1 << 50) + 60_000_000_000


def test_instructions_of_another_length_are_refused(tmp_path: Path) -> None:
    with Machine(memory=1 << 20, engine="unicorn", clock="insns") as machine:
        machine.save(tmp_path / "a.state")
    with pytest.raises(StateError, match="instructions take 4 ns, and this clock's 9"):
        Machine.restore(tmp_path / "a.state", clock="insns=9")


def test_regions_come_back(tmp_path: Path) -> None:
    file = tmp_path / "a.state"
    with busy_machine(tmp_path) as machine:
        machine.save(file)
        layout = machine.memory.map.layout()
    with Machine.restore(file, attach=attach) as restored:
        assert restored.memory.map.layout() == layout
        regions = {region.name: region for region in restored.memory.map.regions()}
        assert regions["frame"].read(2 * PAGE + 5, 7) == b"picture"
        assert (regions["window"].base, regions["low-rom"].mapped) == (0xE0000, False)
        regions["rom"].write(0, b"another image")
        restored.reload(file)
        assert regions["rom"].read(0, 13) == bytes(13)
        assert regions["rom"].read(16 * PAGE - 16, 1) == b"\xea"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rom": {"kind": "ram"}}, "region rom: .* is 'ram' of 65536 bytes, this one's 'rom'"),
        ({"frame": {"size": 4096}}, "region frame: the saved machine's is 'ram' of 4096 bytes"),
        ({"frame": {"base": 0xFFFF0000}}, "rom: frame is at|frame: rom is at"),
        ({"frame": {"base": 1}}, "frame: cannot be at 0x1"),
        ({"frame": {"mapped": 1}}, "region frame: its place in the saved record is none"),
        ({"window": {"pages": [[0, 1]]}}, "region window: it has no memory of its own"),
        ({"frame": {"pages": [[3, 2]]}}, "region frame: the runs of the saved record do not lie"),
        ({"frame": None}, r"other regions of memory \(frame\)"),
    ],
)
def test_another_map_is_refused(wrong: dict[str, Any], told: str, tmp_path: Path) -> None:
    with busy_machine(tmp_path) as machine:
        record, streams = save_state(machine)
        before = steady(machine)
        for name, change in wrong.items():
            if change is None:
                del record["map"][name]
            else:
                record["map"][name] |= change
        with pytest.raises(StateError, match=told):
            load_state(machine, record, Held(streams))
        assert steady(machine) == before


def test_a_python_device_finds_its_window_as_it_was_and_a_refusal_moves_it_back(tmp_path: Path) -> None:
    seen: list[bool] = []

    class Moves(Device):
        memory_span = PAGE

        def save(self) -> dict[str, Any]:
            return {"good": True}

        def load(self, record: dict[str, Any]) -> None:
            seen.append(self.window.mapped)
            if not record["good"]:
                self.window.map(0xDF000)
                raise ValueError("bad")
            self.window.map(0xDF000)

    with Machine(memory=1 << 20) as machine:
        card = machine.attach(Moves(), memory=0xD0000)
        record, streams = save_state(machine)
        card.window.unmap()
        load_state(machine, record, Held(streams))
        assert (seen, card.window.base, card.window.mapped) == ([True], 0xD0000, True)
        card.window.unmap()
        record["devices"]["moves"]["own"]["good"] = False
        with pytest.raises(StateError, match="as it was"):
            load_state(machine, record, Held(streams))
        assert (card.window.base, card.window.mapped) == (0xD0000, False)


class Banks(Device):
    """Says where it was read, and moves when it is written; its own stop lets the machine be saved in between."""

    memory_span = 2 * PAGE
    stateless = True

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def memory_read(self, offset: int, size: int) -> int:
        return 0x40 + offset // PAGE

    def write(self, offset: int, size: int, value: int) -> None:
        self.window.map(value << 12)
        self.machine.request_stop(StopKind.TIMEOUT)


def with_banks(machine: Machine) -> None:
    machine.attach(Banks(machine), 0x300, memory=0xD0000)
    machine.memory.map.rom("bank", 0xE0000, PAGE).write(5, b"\x77")
    machine.memory.map.ram("frame", 0xE1000, PAGE)


MOVES = bytes.fromhex(  # real mode
    "b800e08ed8"  # mov ax, 0xE000; mov ds, ax
    "c606021017"  # movb $0x17, 0x1002: the frame
    "ba0003b0daee"  # mov dx, 0x300; mov al, 0xDA; out dx, al: the window is at 0xDA000 now
    "8a260500e680"  # mov ah, [5]: the bank; out 0x80, al
    "8a1e0210"  # mov bl, [0x1002]
    "b800da8ed8"  # mov ax, 0xDA00; mov ds, ax
    "8a3e0010"  # mov bh, [0x1000]: the window's second page
    "8a0e0000"  # mov cl, [0]
    "b800e08ed8c6060500 01 8a2e0500"  # mov ds, 0xE000; movb $1, [5]; mov ch, [5]: a store to ROM vanishes
    "faf4"  # cli; hlt
)


@pytest.mark.parametrize("engines", [("unicorn", "unicorn"), ("unicorn", "kvm"), ("kvm", "unicorn")])
def test_a_machine_moves_with_its_regions(
    engines: tuple[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "kvm" in engines:
        request.getfixturevalue("kvm")
    file = tmp_path / "moves.state"
    (tmp_path / "moves.bin").write_bytes(MOVES)
    with Machine(memory=1 << 20, engine=engines[0], kernel=tmp_path / "moves.bin", flat="0x7c00,real") as machine:
        with_banks(machine)
        assert isinstance(machine.run(timeout=LIMIT_S), Timeout)
        machine.save(file)
    with Machine.restore(file, engine=engines[1], attach=with_banks) as machine:
        assert isinstance(machine.run(timeout=LIMIT_S), HaltedForever)
        state = machine.engine.state()
    assert (state.ebx & 0xFFFF, state.ecx & 0xFFFF) == (0x4117, 0x7740)


def test_mutants_are_refused_or_go_round(tmp_path: Path) -> None:
    with busy_machine(tmp_path) as machine:
        records = fuzz_records(machine, 600, 7)
        assert min(records.refused, records.taken) > 20
        assert fuzz_files(machine, tmp_path / "b.state", 60, 7).refused == 60


def test_what_a_file_says_of_the_machine_to_be_made_is_checked(tmp_path: Path) -> None:
    with busy_machine(tmp_path) as machine:
        result = fuzz_restores(machine, tmp_path / "a.state", 150, 7, attach)
    assert min(result.refused, result.taken) > 1


@pytest.mark.parametrize(
    ("word", "value", "told"),
    [
        ("testdev", 1 << 40, "testdev cannot be 1099511627776"),
        ("disks", [5], r"disks cannot be \(5,\)"),
        ("disks", [{"is a": "DiskSpec", "path": 5}], "an option is no 'DiskSpec'"),
        ("net", [{"is a": "NetSpec", "base": "x"}], "an option is no 'NetSpec'"),
        ("devices", [{"is a": "DeviceSpec", "path": {"is a": "Path", "name": "x"}, "class_name": 7}], "'DeviceSpec'"),
        ("clock", {"is a": "ClockSpec", "ns": -1}, "clock cannot be"),
        ("bios", 5, "bios cannot be 5"),
        ("abi", [1], r"abi cannot be \(1,\)"),
        ("unheard", 1, "options that this hyperport does not know"),
    ],
)
def test_an_option_of_another_type_is_told(word: str, value: Any, told: str, tmp_path: Path) -> None:
    with Machine(memory=1 << 20, engine="scripted") as machine:
        record, streams = save_state(machine)
        record["machine"][word] = value
        write_state(tmp_path / "a.state", record, streams)
        with pytest.raises(StateError, match=told):
            Machine.restore(tmp_path / "a.state")
        with pytest.raises(StateError, match=told):
            machine.reload(tmp_path / "a.state")


def test_a_refusal_in_a_python_device_is_undone(tmp_path: Path) -> None:
    with busy_machine(tmp_path) as machine:
        record, streams = save_state(machine)
        record["cpu"]["eax"] = 7
        record["devices"]["latch"]["own"] = {"value": 1000}
        before = steady(machine)
        with pytest.raises(StateError, match=r"as it was: latch: its load\(\) raised ValueError: no byte"):
            load_state(machine, record, Held(streams))
        assert steady(machine) == before


def test_a_device_that_cannot_be_saved_is_named(tmp_path: Path) -> None:
    class Counter(Device):
        def __init__(self) -> None:
            self.count = 0

    with Machine(memory=1 << 20) as machine:
        machine.attach(Counter(), 0x300)
        with pytest.raises(StateError, match=r"counter: it has no save\(\) and load\(\), and keeps count"):
            machine.save(tmp_path / "c.state")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_was_written_since_is_refused(tmp_path: Path) -> None:
    image, file = tmp_path / "disk.img", tmp_path / "d.state"
    image.write_bytes(bytes(1 << 16))
    with Machine(memory=1 << 20, disks=DiskSpec(path=image)) as machine:
        machine.drives.images["hda"].write_sectors(1, b"x" * 512)
        machine.save(file)
    Machine.restore(file).close()
    os.utime(image, ns=(1, 1))
    with pytest.raises(StateError, match="has changed since the machine was saved"):
        Machine.restore(file)


@pytest.mark.parametrize("gone", ["disk.img", "over.img", "floppy.img", "cd.iso"])
def test_an_image_that_is_gone_is_told_and_not_made_anew(gone: str, tmp_path: Path) -> None:
    for name, size in (("disk.img", 1 << 16), ("floppy.img", 1440 << 10), ("cd.iso", 1 << 16)):
        (tmp_path / name).write_bytes(bytes(size))
    with Machine(
        memory=1 << 20,
        engine="scripted",
        disks=DiskSpec(path=tmp_path / "disk.img", overlay=tmp_path / "over.img"),
        floppies=tmp_path / "floppy.img",
        cdroms=tmp_path / "cd.iso",
    ) as machine:
        machine.save(tmp_path / "a.state")
    (tmp_path / gone).unlink()
    with pytest.raises(StateError, match=f"{gone}: the saved machine's disk was there, and nothing is now"):
        Machine.restore(tmp_path / "a.state")
    assert not (tmp_path / gone).exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"memory": 2 << 20}, "memory: the saved machine has"),
        ({"testdev": True}, "other devices"),
        ({"io": "hypercall"}, "io: "),
    ],
)
def test_another_machine_is_refused(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    with Machine(memory=1 << 20, engine="unicorn") as machine:
        machine.save(tmp_path / "e.state")
    with pytest.raises(StateError, match=told):
        Machine.restore(tmp_path / "e.state", **change)
    with Machine.restore(tmp_path / "e.state", io="trap") as other:
        assert other.config.io == "trap"


@pytest.mark.parametrize("content", [b"", b"HPSTATE\n", b"x" * 100])
def test_a_file_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(StateError, match=r"cut short|no saved machine"):
        Machine.restore(tmp_path / "f")
    with pytest.raises(StateError, match="No such file"):
        Machine.restore(tmp_path / "nowhere")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, told in ((tmp_path / "pipe", "a pipe"), (Path("/dev/zero"), "a character device"), ("a\0b", "null byte")):
        with pytest.raises(StateError, match=told):
            Machine.restore(path)


def test_a_host_that_does_not_take_the_file(tmp_path: Path) -> None:
    with Machine(memory=1 << 20) as machine, pytest.raises(HostError, match="not saved: No such file"):
        machine.save(tmp_path / "nowhere" / "g.state")


def looping(folder: Path, code: bytes = LOOP) -> Machine:
    """A machine at the first byte of code."""
    image = folder / "loop.bin"
    image.write_bytes(code)
    return Machine(memory=1 << 20, engine="unicorn", clock=VirtualClock(), kernel=image, flat="0x7c00,real")


def test_another_thread_may_ask_while_the_guest_runs(tmp_path: Path) -> None:
    sizes: list[int] = []

    def ask() -> None:
        while machine.guard.runner is None:
            time.sleep(0.001)
        sizes.extend(machine.save(tmp_path / f"{number}.state") for number in range(3))

    with looping(tmp_path) as machine:
        thread = threading.Thread(target=ask)
        thread.start()
        assert isinstance(machine.run(timeout=2), Timeout)
        thread.join(LIMIT_S)
        assert len(sizes) == 3
    with Machine.restore(tmp_path / "2.state") as machine:
        assert isinstance(machine.run(timeout=0.1), Timeout)
        assert machine.bus.counts()


def test_a_device_may_not(tmp_path: Path) -> None:
    class Asks(Device):
        stateless = True

        def write(self, offset: int, size: int, value: int) -> None:
            machine.save(tmp_path / "h.state")

    with looping(tmp_path, bytes.fromhex("ba0003eeebfe")) as machine:
        machine.attach(Asks(), 0x300)
        with pytest.raises(ThreadError, match="in the middle of an instruction"):
            machine.run(timeout=LIMIT_S)


def test_a_guest_in_hlt_goes_on_at_its_next_tick(tmp_path: Path) -> None:
    """The demo guest counts ticks in HLT; it is saved at its first output, and says the rest in another machine."""
    whole, first, second = (MemoryBackend() for _ in range(3))
    with Machine(
        kernel=BIN / "demo.elf", memory=32 << 20, engine="unicorn", clock=VirtualClock(), serial=whole
    ) as machine:
        end = machine.run(timeout=LIMIT_S)
        now = machine.clock.now_ns()
    assert end == GuestExit(0)
    with Machine(
        kernel=BIN / "demo.elf", memory=32 << 20, engine="unicorn", clock=VirtualClock(), serial=first
    ) as machine:
        seen = 0

        def stop(_: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == 400:
                machine.request_stop(StopKind.TIMEOUT)

        machine.bus.observe(stop)
        assert isinstance(machine.run(timeout=LIMIT_S), Timeout)
        machine.save(tmp_path / "i.state")
    with Machine.restore(tmp_path / "i.state", serial=second) as machine:
        assert machine.run(timeout=LIMIT_S) == end
        assert machine.clock.now_ns() == now
    assert first.output() + second.output() == whole.output()
