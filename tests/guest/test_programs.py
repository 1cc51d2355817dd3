# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest programs on a machine that nobody here wrote, qemu's TCG: they must report the same under every engine."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

QEMU: Final = shutil.which("qemu-system-i386")
BIN: Final = Path(__file__).parents[2] / "src" / "hyperport" / "guests" / "bin"
GOLDEN: Final = Path(__file__).parent / "data"
LIMIT_S: Final = 120  # hung, not slow
FNV_OFFSET: Final = 2166136261
FNV_PRIME: Final = 16777619

pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-system-i386 is not installed")


def command(image: str, append: str = "", *, floppy: bool = False) -> list[str]:
    """Qemu's command line with COM1 on its standard streams; with floppy, debugcon instead."""
    path = str(BIN / image)
    source = ["-drive", f"if=floppy,format=raw,read-only=on,file={path}"] if floppy else ["-kernel", path]
    consoles = ["-serial", "null", "-debugcon", "stdio"] if floppy else ["-serial", "stdio", "-debugcon", "null"]
    return [
        *(QEMU or "", "-accel", "tcg", "-cpu", "qemu32,+nx", "-m", "128", "-display", "none", "-monitor", "none"),
        *("-nic", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
        *source,
        *consoles,
        *(("-append", append) if append else ()),
    ]


def run(image: str, append: str = "", *, floppy: bool = False) -> tuple[int, str]:
    """Exit status and output."""
    line = command(image, append, floppy=floppy)
    result = subprocess.run(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT_S, check=False, text=True
    )
    return result.returncode, result.stdout


def test_demo() -> None:
    status, text = run("demo.elf")
    assert status == 1
    assert "20 interrupts at 100 Hz" in text
    assert text.endswith("done\n")


def test_stress() -> None:
    status, text = run("stress.elf", "irqs=20000")
    assert status == 1
    assert text.endswith(" irqs, 0 errors\n")


def test_faults_match_the_accepted_output() -> None:
    status, text = run("faults.elf")
    assert status == 1
    assert text == (GOLDEN / "faults.txt").read_text()


def test_portbench() -> None:
    status, text = run("portbench.elf", "n=1000")
    words = [line.split() for line in text.splitlines()]
    assert status == 1
    assert words[0][0] == "tsc_khz"
    assert int(words[0][1]) > 0
    rows = [row for row in words if row[0] == "bench"]
    assert [row[1] for row in rows] == ["lsr_in", "post_out", "int80", "page_fault"]
    assert all(int(row[2]) == 1000 and int(row[3]) > 0 for row in rows)


def test_portbench_runs_the_named_phase_only() -> None:
    _, text = run("portbench.elf", "n=10 int80")
    assert [line.split()[1] for line in text.splitlines() if line.startswith("bench")] == ["int80"]


@pytest.mark.parametrize("word", ["reset8042", "resetcf9", "reset92", "triple", "poweroff"])
def test_outcomes_that_end_qemu(word: str) -> None:
    status, text = run("outcome.elf", word)
    assert (status, text) == (0, f"outcome: {word}\n")


@pytest.mark.parametrize("value", [0, 1, 40])
def test_outcome_exit(value: int) -> None:
    assert run("outcome.elf", f"exit {value}")[0] == value << 1 | 1


def test_outcome_unknown_word() -> None:
    assert run("outcome.elf", "nonsense")[0] == 5


def test_echo_counts_and_checks() -> None:
    sent = bytes(range(5, 256)) * 20
    checksum = FNV_OFFSET
    for byte in sent:
        checksum = (checksum ^ byte) * FNV_PRIME & 0xFFFFFFFF
    with subprocess.Popen(command("echo.elf"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        assert qemu.stdout.readline() == b"echo: ready\r\n"
        received, _ = qemu.communicate(sent + b"\x04", timeout=LIMIT_S)
    echoed, report = received[: len(sent)], received[len(sent) :]
    assert echoed == sent.upper()
    assert report == f"\r\necho: {len(sent)} bytes, fnv1a {checksum:08x}, 0 overruns\r\n".encode()
    assert qemu.returncode == 1


def test_devtest_fails_without_its_device() -> None:
    status, text = run("devtest.elf")
    assert status == 3
    assert text.endswith("devtest: 6 failures\n")


def test_real_mode() -> None:
    status, text = run("realmode.bin", floppy=True)
    assert (status, text) == (1, "real mode: int 60h\nreal mode: irq 0\nprotected mode\nreal mode again\n")
