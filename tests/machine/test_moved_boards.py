# SPDX-License-Identifier: GPL-2.0-or-later
"""A board in the midst of whatever a guest may do goes on in a machine that was just made, and nobody can tell.

A wild guest plays on all ports; bytes and frames arrive, keys are struck, floppies and discs changed. At random points
the state goes into another machine, which has never seen any of it; all answers are those of an unbroken board.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyperport import Machine, MemoryBackend
from hyperport.host.specs import DiskSpec, FloppySpec, NetSpec
from hyperport.machine.state import load_state, save_state
from hyperport.testing.fuzz import CDROM_BYTES, DISK_BYTES, FLOPPY_BYTES, MAC, STEP_BYTES, Cable
from hyperport.testing.fuzz_state import Held
from hyperport.testing.hands import Hands, Viewer
from hyperport.testing.wild_guest import WildGuest
from hyperport.time.clock import VirtualClock

BURSTS = 25
LONGEST = 1500  # steps of a burst
KEPT = 1 << 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("images")
    for name, size in (
        ("a.img", DISK_BYTES),
        ("f.img", FLOPPY_BYTES),
        ("c.iso", CDROM_BYTES),
        ("d.iso", 5 * CDROM_BYTES),
    ):
        (made / name).write_bytes(bytes(range(256)) * (size // 256))
    return made


@dataclass
class Board:
    machine: Machine
    clock: VirtualClock
    inputs: list[Callable[[bytes], object]]

    def play(self, steps: bytes) -> int:
        """A checksum of the answers."""
        ports = [port for first, last, _ in self.machine.bus.map() for port in range(first, last + 1)]
        guest = WildGuest(self.machine.bus, self.clock, ports, self.machine.controller)
        guest.play(steps)
        self.machine.attention.take_stop()
        return guest.answers


def made(folder: Path) -> Board:
    clock, cable, serial = VirtualClock(), Cable(), MemoryBackend(KEPT)
    machine = Machine(
        engine="scripted",
        memory=2 << 20,
        testdev=True,
        serial=serial,
        parallel=MemoryBackend(KEPT),
        cables=[cable.backend],
        clock=clock,
        net=NetSpec(mac=MAC),
        disks=DiskSpec(path=folder / "a.img", snapshot=True),
        floppies=(FloppySpec(path=folder / "f.img", read_only=True), "none"),
        cdroms=folder / "c.iso",
    )
    cable.card = machine.named_devices()["ne2000"]

    def change(data: bytes) -> None:
        drives = machine.drives
        changes: list[Callable[[], object]] = [
            lambda: drives.change_floppy("fda", None),
            lambda: drives.change_floppy("fda", folder / "f.img", read_only=True),
            lambda: drives.change_disc("hdc", None),
            lambda: drives.change_disc("hdc", folder / "c.iso"),
            lambda: drives.change_disc("hdc", folder / "d.iso"),
        ]
        changes[data[0] % len(changes)]()

    hands, viewer = Hands(machine.keys.ring, machine.mouse.ring), Viewer(machine.display)
    return Board(machine, clock, [serial.feed, cable.feed, hands.feed, viewer.feed, change])


def moved(board: Board, folder: Path) -> Board:
    """The same in a new machine, by its drives as Machine.restore() makes it."""
    record, streams = save_state(board.machine)
    held, other = Held(streams), made(folder)
    other.machine.drives.empty_others(record["disks"])
    if "hdc" in record["disks"]:
        other.machine.drives.change_disc("hdc", Path(record["disks"]["hdc"]["path"]))
    load_state(other.machine, record, held)
    other.machine.attention.take_stop()
    again, _ = save_state(other.machine)
    for section in record.keys() - {"machine"}:
        assert again[section] == record[section]
    assert other.clock.next_deadline_ns() == board.clock.next_deadline_ns()
    board.machine.close()
    return other


def answers(seed: int, folder: Path, *, moves: bool) -> list[int]:
    rng = random.Random(f"moved/{seed}")
    board, told = made(folder), []
    for _ in range(BURSTS):
        steps, what = rng.randbytes(STEP_BYTES * rng.randint(1, LONGEST)), rng.randbytes(rng.randint(1, 512))
        told.append(board.play(steps))
        which, feeds, goes = rng.randrange(len(board.inputs)), rng.random() < 0.6, rng.random() < 0.4
        if feeds:
            board.inputs[which](what)
        if goes and moves:
            board = moved(board, folder)
    board.machine.close()
    return told


@pytest.mark.parametrize("seed", range(6))
def test_a_board_that_is_moved_again_and_again_answers_as_one_that_stays(seed: int, folder: Path) -> None:
    assert answers(seed, folder, moves=True) == answers(seed, folder, moves=False)
