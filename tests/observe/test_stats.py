# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from hyperport.bus.access import Direction
from hyperport.bus.plain_device import Device
from hyperport.bus.port_bus import PortBus
from hyperport.engines.shared.scripted_vcpu import ScriptedVcpu
from hyperport.errors import ConfigError
from hyperport.host.files import check_destination
from hyperport.io.exit import ExitPath
from hyperport.machine.statistics import run_statistics
from hyperport.memory.ram import GuestMemory
from hyperport.observe.stats import write_statistics
from hyperport.outcome import GuestExit


def statistics(bus: PortBus) -> dict[str, Any]:
    return run_statistics(
        GuestExit(4),
        wall_s=1.23456789,
        cpu_s=0.5,
        engine="unicorn",
        io="trap",
        exceptions={"13": 7},
        irqs={"0": 100, "4": 2},
        hlts=9,
        exitless={},
        calls={"vmi": {68: 2}},
        counts=bus.counts(),
    )


def test_the_object_as_json(tmp_path: Path) -> None:
    bus = PortBus()
    bus.inp(0x3FD)
    bus.outp(0xCF8, 4, 0x80000000)
    card = Device()
    card.memory_span = 4096
    setattr(card, "name", "card")  # noqa: B010
    ram = GuestMemory(1 << 20)
    bus.attach_memory(ram.map, card, 0xD0000)
    ScriptedVcpu(ExitPath(bus), ram).load_store(Direction.IN, 0xD0004, 4)
    file = tmp_path / "stats.json"
    write_statistics(file, statistics(bus))
    row = {"path": "exit", "device": None, "accesses": 1, "crossings": 1}
    assert json.loads(file.read_text()) == {
        "outcome": "guest-exit",
        "status": 9,
        "detail": "the guest exited with value 4",
        "wall_s": 1.234568,
        "cpu_s": 0.5,
        "engine": "unicorn",
        "io": "trap",
        "exceptions": {"13": 7},
        "irqs": {"0": 100, "4": 2},
        "hlts": 9,
        "calls": {"vmi": {"68": 2}},
        "exitless": {},
        "ports": [
            {"port": 0x3FD, "size": 1, "direction": "in"} | row,
            {"port": 0xCF8, "size": 4, "direction": "out"} | row,
        ],
        "memory": [
            {"address": 0xD0000, "size": 4, "direction": "load", "device": "card", "accesses": 1, "crossings": 1},
        ],
    }


def test_an_older_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "stats.json"
    file.write_text("old")
    with pytest.raises(TypeError):
        write_statistics(file, {"ports": object()})
    assert file.read_text() == "old"
    write_statistics(file, {})
    assert file.read_text() == "{}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["stats.json"]


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_statistics(pipe, {"hlts": 1})
    reader.join(10)
    assert json.loads(got[0]) == {"hlts": 1}
    assert pipe.is_fifo()


def test_destinations_are_checked_before_the_run(tmp_path: Path) -> None:
    check_destination(tmp_path / "new.json")
    for bad in (tmp_path, tmp_path / "none" / "stats.json"):
        with pytest.raises(ConfigError, match="cannot be written"):
            check_destination(bad)
