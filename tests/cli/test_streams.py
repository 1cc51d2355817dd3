# SPDX-License-Identifier: GPL-2.0-or-later
"""Standard streams and files in every state that a caller can leave them in, and a device that raises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

HANGS_S: Final = 60
SAYS_A: Final = bytes.fromhex("baf803 b041 ee b00a ee  baf400 b003 ee ebfe")  # "A\n" to COM1, exit with 3: status 7
PORTS: Final = bytes.fromhex("b91027 e680 e2fc  baf400 b003 ee ebfe")  # 10,000 times out %al, $0x80
TO_E9: Final = bytes.fromhex("b91027 e6e9 e2fc  baf400 b003 ee ebfe")
WRITES: Final = bytes.fromhex("ba0003 b005 ee ebfe")  # out %al, $0x300

FULL: Final = "No space left on device"
LOST: Final = "the guest's output is lost (status 74)"

ROWS: Final = [  # options and redirections, code, status, lines on stderr; None: stderr is not looked at
    ("<&-", SAYS_A, 7, []),
    (">&-", SAYS_A, 7, ["stdout is closed: what the guest sends there is lost"]),
    ("<&- >&-", SAYS_A, 7, ["stdout is closed: what the guest sends there is lost"]),
    (">&- 2>&-", SAYS_A, 7, None),
    ("<&- >&- 2>&-", SAYS_A, 7, None),
    ("2>/dev/full", SAYS_A, 7, None),
    (">/dev/full", SAYS_A, 74, [f"stdout: {FULL}: {LOST}"]),
    ("1</dev/null", SAYS_A, 74, [f"stdout: Bad file descriptor: {LOST}"]),
    ("--serial file:/dev/full", SAYS_A, 74, [f"serial line: /dev/full: {FULL}: {LOST}"]),
    ("--debugcon file:/dev/full", TO_E9, 74, [f"serial line: /dev/full: {FULL}: {LOST}"]),
    ("--trace-ports=/dev/full", PORTS, 74, [f"port trace: /dev/full: {FULL}; it is not complete"]),
    ("--trace /dev/full", PORTS, 74, None),
    ("--stats /dev/full", PORTS, 74, [f"statistics: /dev/full: {FULL}; it is not written"]),
    ("--screenshot /dev/full", PORTS, 74, [f"screenshot: /dev/full: {FULL}; it is not written"]),
    ("--screen-text /dev/full", PORTS, 74, [f"screen text: /dev/full: {FULL}; it is not written"]),
    ("--net none,pcap=/dev/full", PORTS, 74, [f"pcap file /dev/full: {FULL}; it is not complete"]),
    ("--report 2>/dev/full", PORTS, 74, None),
    ("--trace-ports 2>/dev/full", PORTS, 74, None),
]


def run(folder: Path, options: str, code: bytes) -> subprocess.CompletedProcess[str]:
    (folder / "guest.bin").write_bytes(code)
    line = f"exec {sys.executable} -m hyperport run -q -k guest.bin --flat 0x7c00,real --timeout 50 {options}"
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )


@pytest.mark.parametrize(("options", "code", "status", "lines"), ROWS, ids=[row[0] for row in ROWS])
def test_state_of_a_stream(options: str, code: bytes, status: int, lines: list[str] | None, tmp_path: Path) -> None:
    done = run(tmp_path, options, code)
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stderr
    if lines is not None:
        assert done.stderr.splitlines() == [f"hyperport: {line}" for line in lines] or (
            status == 7 and done.stderr.splitlines()[:-1] == [f"hyperport: {line}" for line in lines]
        )


def test_console_does_not_get_into_the_disk(tmp_path: Path) -> None:
    """A closed stdout's number was given to the first file that was opened."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    assert run(tmp_path, "--disk disk <&- >&- 2>&-", SAYS_A).returncode == 7
    assert disk.read_bytes() == bytes(1 << 20)


@pytest.mark.parametrize(
    ("redirection", "status"), [(">/dev/full", 74), (">&-", 0), ("1</dev/null", 74), ("2>&-", 0), ("<&-", 0)]
)
def test_streams_of_another_verb(redirection: str, status: int) -> None:
    line = f"exec {sys.executable} -m hyperport list guests {redirection}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    assert len(done.stderr.splitlines()) == (status != 0)


DEVICE: Final = """
class Broken:
    def read(self, offset, size):
        return 0
    def write(self, offset, size, value):
        {statement}
"""


@pytest.mark.parametrize(
    ("statement", "says"),
    [("value // 0", "ZeroDivisionError"), ("raise OSError(5, 'x')", "OSError"), ("raise SystemExit(3)", "SystemExit")],
)
def test_device_that_raises(statement: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "device.py").write_text(DEVICE.format(statement=statement))
    done = run(tmp_path, "--device device.py:Broken,base=0x300", WRITES)
    assert done.returncode == 70
    first, *_, error, note = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert done.stderr.count("File ") == 1, "the device's frame alone"
    assert (
        f'File "{tmp_path}/device.py", line 6, in write' in done.stderr or 'device.py", line 6, in write' in done.stderr
    )
    assert error.startswith(says)
    assert note == (
        "hyperport: device broken, port 0x300 (offset 0x0): write of 1 byte, value 0x5; the guest is at 0000:00007c05"
    )


def test_device_that_raises_with_all_frames(tmp_path: Path) -> None:
    (tmp_path / "device.py").write_text(DEVICE.format(statement="value // 0"))
    done = run(tmp_path, "--verbose --device device.py:Broken,base=0x300", WRITES)
    assert done.stderr.count("File ") > 3
