# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong on a command line or on the host, and the one line that says so: what, where, and what to do.

Kernels and programs have their own table: tests/boot/test_naming.py.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

import pytest

from hyperport.cli.main import main

FLAT: Final = ("-k", "spin", "--flat", "0x7c00,real", "--timeout", "0.1")

FILES: Final = {
    "spin": b"\xeb\xfe",
    "empty": b"",
    "short": bytes(100),
    "odd": bytes(1000),
    "bad.toml": b"kernel = [",
    "word.toml": b'kernal = "spin"\n',
    "type.toml": b"memory = true\n",
    "syntax.py": b"class A:\n  def read(:\n",
    "raises.py": b"1 / 0\n",
    "none.py": b"x = 1\n",
    "plain.py": b"class A:\n    pass\n",
    "picky.py": b"class A:\n    def __init__(self, size): pass\n    read = write = print\n",
    "wide.py": b"class A:\n    span = 'x'\n    read = write = print\n",
    "good.py": b"class A:\n    read = write = print\n",
    "text.c": b"int main(const char *c) { return nothing; }\n",
}

RUN: Final = [  # options of run, status, what the line says
    ((), 2, "nothing to run: name a guest (hyperport list guests), an image, or give --kernel FILE"),
    (("nobody",), 78, "nobody"),
    (("demo", "-k", "spin"), 2, "guest demo and --kernel: give one of the two"),
    (("-k", "absent"), 66, "absent: No such file"),
    (("-k", "folder"), 66, "folder"),
    (("-k", "fifo"), 66, "a pipe; give a file"),
    (("-k", "spin", "--flat", "0x7c00"), 2, "write ADDR,MODE"),
    (("-k", "spin", "--flat", "x,real"), 2, "flat image"),
    ((*FLAT, "--bogus"), 2, "--bogus"),
    ((*FLAT, "--mem"), 2, "--mem"),
    ((*FLAT, "--mem", "1.5G"), 2, "1.5G"),
    ((*FLAT, "--mem", "4G"), 78, "from 1M to 3072M"),
    ((*FLAT[:4], "--timeout", "soon"), 2, "soon"),
    ((*FLAT[:4], "--timeout", "-1"), 2, "-1"),
    ((*FLAT[:4], "--timeout", "nan"), 2, "nan"),
    ((*FLAT, "--engine", "bochs"), 78, "engine 'bochs' is unknown; choose from"),
    ((*FLAT, "--io", "mmio"), 78, "no path mmio; choose from"),
    ((*FLAT, "--serial", "tcp:1"), 2, "tcp"),
    ((*FLAT, "--serial", "file:"), 2, "file"),
    ((*FLAT, "--serial", "file:/absent/file"), 78, "serial line: /absent/file: No such file"),
    ((*FLAT, "--serial", "file:folder"), 78, "serial line: folder: Is a directory"),
    ((*FLAT, "--serial", "unix:spin"), 78, "spin exists and is no socket"),
    ((*FLAT, "--serial", "unix:listening"), 78, "another process listens on listening"),
    ((*FLAT, "--serial", "unix:" + "x" * 200), 78, "serial line"),
    ((*FLAT, "--disk", "absent"), 78, "absent"),
    ((*FLAT, "--disk", "empty"), 78, "empty"),
    ((*FLAT, "--disk", "folder"), 78, "folder"),
    ((*FLAT, "--disk", "fifo"), 78, "neither a file nor a block device"),
    ((*FLAT, "--disk", "short,colour=red"), 2, "colour"),
    ((*FLAT, "--floppy", "fifo"), 78, "floppy fifo"),
    ((*FLAT, "--cdrom", "fifo"), 78, "neither a file nor a block device"),
    ((*FLAT, "--cdrom", "absent"), 78, "absent"),
    ((*FLAT, "--net", "wifi"), 2, "wifi"),
    ((*FLAT, "--net", "socket=absent"), 78, "start the one with listen= first"),
    ((*FLAT, "--net", "none,pcap=/absent/x"), 78, "pcap file /absent/x"),
    ((*FLAT, "--net", "none,mac=1"), 2, "mac"),
    ((*FLAT, "--device", "good.py"), 2, "write FILE.py:Class,base=0x300"),
    ((*FLAT, "--device", "good.py:A"), 2, "add base=0x300"),
    ((*FLAT, "--device", "good.py:A,base=0x10000"), 2, "outside the ports"),
    ((*FLAT, "--device", "good.py:A,base=0x300,irq=16"), 2, "outside the lines"),
    ((*FLAT, "--device", "good.py:A,base=0x20"), 78, "port 0x20 belongs to pic8259"),
    ((*FLAT, "--device", "good.py:A,base=0x300,irq=4"), 78, "irq 4"),
    ((*FLAT, "--device", "good.py:A,base=0x300,colour=red"), 78, "cannot be made"),
    ((*FLAT, "--device", "good.py:A,base=0x300,base=0x301"), 2, "given twice"),
    ((*FLAT, "--device", "absent.py:A,base=0x300"), 78, "device absent.py: no such file"),
    ((*FLAT, "--device", "good.py:B,base=0x300"), 78, "it has no class B"),
    ((*FLAT, "--device", "none.py:x,base=0x300"), 78, "it has no class x"),
    ((*FLAT, "--device", "syntax.py:A,base=0x300"), 78, "device syntax.py: line 2"),
    ((*FLAT, "--device", "raises.py:A,base=0x300"), 78, "it cannot be imported: ZeroDivisionError"),
    ((*FLAT, "--device", "plain.py:A,base=0x300"), 78, "A is no port device: it has no read and no write()"),
    ((*FLAT, "--device", "picky.py:A,base=0x300"), 78, "cannot be made: TypeError"),
    ((*FLAT, "--device", "wide.py:A,base=0x300"), 78, "spans must be numbers"),
    ((*FLAT, "--config", "absent.toml"), 78, "absent.toml"),
    ((*FLAT, "--config", "bad.toml"), 78, "bad.toml"),
    ((*FLAT, "--config", "word.toml"), 78, "kernal"),
    ((*FLAT, "--config", "type.toml"), 78, "memory"),
    ((*FLAT, "--stats", "/absent/x"), 78, "statistics: /absent/x cannot be written"),
    ((*FLAT, "--screenshot", "folder"), 78, "screenshot: folder cannot be written"),
    ((*FLAT, "--screen-text", "folder"), 78, "screen text: folder cannot be written"),
    ((*FLAT, "--trace-ports=/absent/x"), 78, "port trace: /absent/x"),
    ((*FLAT, "--display", "term"), 2, "stdin and stdout are no terminal"),
    ((*FLAT, "--echr", "500"), 2, "500"),
    ((*FLAT, "--exit-status", "mine"), 2, "mine"),
]

VERBS: Final = [
    (("jump",), 2, "Unknown verb: jump"),
    (("--jump",), 2, "Unknown option: --jump"),
    (("list", "colours"), 2, "colours"),
    (("list",), 2, "guests|devices|engines|abis is missing"),
    (("fetch", "nobody"), 78, "nobody"),
    (("compare", "nobody"), 2, "workload 'nobody' is unknown; choose from"),
    (("compare", "--repeat", "x"), 2, "x"),
    (("completion", "tcsh"), 2, "tcsh"),
    (("cc", "absent.c"), 66, "cc: absent.c: no such file"),
    (("cc", "spin"), 2, "cc: spin: give C files"),
    (("cc", "text.c", "-o", "text.c"), 2, "give another --output"),
    (("cc", "text.c", "-o", "folder"), 78, "cc: folder cannot be written"),
    (("cc", "text.c", "-o", "absent/program.elf"), 78, "cc: absent/program.elf cannot be written"),
    (("trace", "show", "folder"), 78, "trace folder: Is a directory"),
    (("trace", "show", "empty"), 78, "trace empty: this is no trace"),
    (("trace", "diff", "empty", "absent"), 78, "trace empty"),
    (("trace", "export", "absent"), 78, "trace absent: No such file"),
    (("trace", "play", "spin"), 78, "trace spin: this is no trace"),
    (("project", "absent"), 78, "run absent: No such file"),
    (("project", "short"), 78, "run short: this is no saved run"),
    (("audit", "demo", "--output", "folder"), 78, "allow-list: folder cannot be written"),
    (("profile", "demo", "--html", "folder"), 78, "profile: folder cannot be written"),
    (("profile", "demo", "--speedscope", "/absent/x"), 78, "profile: /absent/x cannot be written"),
    (("run", "--restore", "folder"), 76, "folder: Is a directory"),
    (("run", "--restore", "short"), 76, "short: this is no saved machine"),
    (("run", "--restore", "empty"), 76, "empty: this is no saved machine"),
    (("run", "demo", "--boot", "a"), 78, "--boot is for firmware, and there is none: add --bios seabios"),
    (
        ("run", "demo", "--boot", "a", "--bios", "none"),
        78,
        "--boot is for firmware, and there is none: leave out --bios",
    ),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_as_many_kinds_as_promised() -> None:
    assert len({words for words, _, _ in RUN} | {words for words, _, _ in VERBS}) >= 60


@pytest.mark.parametrize(
    ("words", "status", "says"), [*((("run", *words), status, says) for words, status, says in RUN), *VERBS]
)
def test_one_line(
    words: tuple[str, ...], status: int, says: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("listening")
        listener.listen()
        assert main(words) == status, capfd.readouterr().err
    out, err = capfd.readouterr()
    assert out == ""
    assert says in err
    assert len(err.splitlines()) == 1, err
    assert err.startswith("hyperport: ")
