# SPDX-License-Identifier: GPL-2.0-or-later
"""The profile of Debian's boot beside an independent count: qemu stops at the port instructions of the same kernel."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

import pytest

from hyperport.observe.kallsyms import running_symbols
from hyperport.observe.profile import Profile
from hyperport.observe.symbols import load_symbols
from hyperport.testing import GuestMachine

from .conftest import BOOT_S, PROMPT, require, require_qemu

pytestmark = pytest.mark.real

# Whose accesses depend on no card and no time: on any PC as many.
FUNCTIONS: Final = (
    *("isapnp_init", "isapnp_key", "isapnp_isolate_rdp_select", "isapnp_set_rdp", "init_8259A", "probe_8259A"),
    *("pit_set_periodic", "fintek_8250_probe", "serial8250_config_port", "i8237A_init_ops", "rtc_cmos_write"),
)
MODULES: Final = 0xF000_0000  # from there on: modules, which the kernel's own tables have not
EIP: Final = 8  # of the registers that gdb's protocol gives, in hexadecimal, eight digits each
LENGTHS: Final = (1, 2)  # of IN and OUT, in bytes


class Gdb:
    """As much of gdb's remote protocol as a count needs."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(str(path))
        self._got = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(b"$%b#%02x" % (data, sum(data) & 0xFF))

    def answer(self) -> bytes:
        while (found := re.search(rb"\$([^#]*)#..", self._got)) is None:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self._got += more
        self._got = self._got[found.end() :]
        self.socket.sendall(b"+")
        return found[1]

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.answer()

    def eip(self) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(b"g")[8 * EIP : 8 * EIP + 8].decode()), "little")


def profiled(folder: Path) -> dict[int, tuple[str, int]]:
    """Boot Debian; address -> function and accesses, of FUNCTIONS. The guest itself tells its symbols."""
    guest = require("debian")
    with GuestMachine(
        kernel=guest.kernel, initrd=guest.initrd, append=guest.append, engine="unicorn", timeout=BOOT_S
    ) as machine:
        with Profile(machine) as profile:
            machine.expect(PROMPT)
            report = profile.report()
        machine.send("dmesg -n 1; echo 0 > /proc/sys/kernel/kptr_restrict; grep ' [tT] ' /proc/kallsyms; echo END\n")
        machine.expect("\nEND")
        (folder / "kallsyms").write_text(machine.text)
        running = running_symbols(machine.memory)
    symbols = load_symbols([folder / "kallsyms"])
    assert symbols is not None
    assert running is not None
    own = {first: name for first, _, name in running.rows if first < MODULES}
    told = {first: name for first, _, name in symbols.rows if first < MODULES}
    assert len(own) > 20_000
    assert {first for first in told if first not in own} == set()
    assert report["symbols"] == "kallsyms in the guest's RAM"
    found: dict[int, tuple[str, int]] = {}
    for row in report["rows"]:
        if row["address"] is not None and symbols.name(row["address"]) in FUNCTIONS:
            earlier = found.get(row["address"], ("", 0))[1]
            found[row["address"]] = (symbols.name(row["address"]), earlier + row["accesses"])
    return found


def on_qemu(folder: Path, addresses: list[int]) -> Counter[int]:
    """How often qemu executes the port instructions at these addresses until the guest has its prompt."""
    guest = require("debian")
    console, path = folder / "console", folder / "gdb"
    where = ["-kernel", str(guest.kernel), "-initrd", str(guest.initrd), "-append", guest.append]
    ends = ["-serial", f"file:{console}", "-gdb", f"unix:{path},server=on,wait=off", "-S"]
    few = ["-M", "pc", "-accel", "tcg", "-cpu", "pentium3,-apic", "-m", "128", "-nic", "none", "-display", "none"]
    counted: Counter[int] = Counter()
    qemu = subprocess.Popen([require_qemu(), *few, *where, *ends, "-no-reboot", "-monitor", "none"])
    try:
        end = time.monotonic() + BOOT_S
        while not path.exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        gdb = Gdb(path)
        for address in addresses:
            assert gdb.ask(b"Z1,%x,1" % address) == b"OK"
        gdb.send(b"c")
        while time.monotonic() < end:
            try:
                gdb.answer()
            except TimeoutError:
                if re.search(rb"/root # |~ # ", console.read_bytes()):
                    return counted
                continue
            at = gdb.eip()
            gdb.ask(b"s")
            counted[at] += gdb.eip() - at in LENGTHS  # else an interrupt came first, and it will stop here again
            gdb.send(b"c")
        raise AssertionError("no prompt on qemu")
    finally:
        qemu.kill()
        qemu.wait()


def test_debian_accesses_ports_as_often_as_qemu_counts(tmp_path: Path) -> None:
    ours = profiled(tmp_path)
    theirs = on_qemu(tmp_path, list(ours))
    by_function: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for address, (name, accesses) in ours.items():
        by_function[name][0] += accesses
        by_function[name][1] += theirs[address]
    assert {name: one for name, (one, _) in by_function.items()} == {
        name: two for name, (_, two) in by_function.items()
    }
    assert len(by_function) >= 10
