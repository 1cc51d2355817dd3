# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hyperport.cli.completion import PLACES, SCRIPTS, candidates
from hyperport.cli.main import main
from hyperport.cli.options import SHELLS, VERBS
from hyperport.guests.registry import BESIDE_GUESTS, GUESTS, find


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("disk.img", "dev.py", "with space", ".hidden"):
        (tmp_path / name).write_text("class First:\n    pass\nclass Other(First):\n    pass\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cd.iso").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hyperport ", [*VERBS, "--help", "--version"]),
        ("hyperport co", ["compare", "completion"]),
        ("hyperport nix ", []),
        ("hyperport run de", [name for name in GUESTS if name.startswith("de")]),
        ("hyperport run demo ", []),
        ("hyperport run --report de", [name for name in GUESTS if name.startswith("de")]),
        ("hyperport run --ker", ["--kernel"]),
        ("hyperport run --kernel disk.img --ker", []),
        ("hyperport run --disk disk.img --dis", ["--disk", "--display"]),
        ("hyperport run --io ", ["trap", "exit", "hypercall", "exitless"]),
        ("hyperport run --io=t", ["--io=trap"]),
        ("hyperport run --engine ", ["auto", "unicorn", "kvm", "scripted"]),
        ("hyperport run --abi ", ["vmi", "kvm", "lguest"]),
        ("hyperport run --abi vmi,", ["vmi,kvm", "vmi,lguest"]),
        ("hyperport run --vmi-calls INB,OUTS", ["INB,OUTSB", "INB,OUTSL", "INB,OUTSW"]),
        ("hyperport run --kvm-irqchip ", ["on", "off"]),
        ("hyperport run --display ", ["none", "term"]),
        ("hyperport run --serial ", ["stdio", "pty", "file:", "unix:", "tty:", "null"]),
        ("hyperport run --serial file:di", ["file:disk.img"]),
        ("hyperport run --kernel ", ["dev.py", "disk.img", "images/", "with space"]),
        ("hyperport run -k i", ["images/"]),
        ("hyperport run --cdrom images/", ["images/cd.iso"]),
        ("hyperport run --kernel .h", [".hidden"]),
        ("hyperport run --kernel nowhere/", []),
        ("hyperport run --disk disk.img,", ["disk.img,ro", "disk.img,overlay=", "disk.img,snapshot"]),
        ("hyperport run --disk disk.img,overlay=images/", ["disk.img,overlay=images/cd.iso"]),
        ("hyperport run --device dev.py:", ["dev.py:First,base=", "dev.py:Other,base="]),
        ("hyperport run --device dev.py:O", ["dev.py:Other,base="]),
        ("hyperport run --device disk", ["disk.img"]),
        ("hyperport run --device dev.py:First,base=1,i", ["dev.py:First,base=1,irq="]),
        ("hyperport run --net t", ["tap="]),
        ("hyperport run --net user,p", ["user,pcap=", "user,paced="]),
        ("hyperport run --append ", []),
        ("hyperport run --append '--io ", []),
        ("hyperport fetch ", [name for name in (*GUESTS, *BESIDE_GUESTS) if find(name).recipe]),
        ("hyperport fetch debian mem", ["memdisk", "memtest", "memtest-cd"]),
        ("hyperport list ", ["abis", "devices", "engines", "guests"]),
        ("hyperport list guests ", []),
        ("hyperport compare cm", ["cmos"]),
        ("hyperport completion ", list(SHELLS)),
    ],
)
def test_what_may_stand_there(folder: Path, line: str, words: list[str]) -> None:
    assert sorted(candidates(line)[1]) == sorted(words)


def test_a_script_for_each_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(SCRIPTS) == set(PLACES) == set(SHELLS)
    for shell, script in SCRIPTS.items():
        assert main(["completion", shell]) == 0
        assert capsys.readouterr().out == script
        assert f"hyperport --complete {shell}" in script


@pytest.mark.parametrize("words", [["completion", "bash", "--install"], ["--install-completion", "--shell", "bash"]])
def test_installed_where_the_shell_looks(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(words) == 0
    place = tmp_path / "bash-completion" / "completions" / "hyperport"
    assert place.read_text() == SCRIPTS["bash"]
    assert str(place) in capsys.readouterr().out


def test_a_place_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    assert main(["completion", "bash", "--install"]) == 78
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("hyperport run --io=t", ["trap"]),
        ("hyperport run --serial file:di", ["disk.img"]),
        ("hyperport run --kernel with", ["'with space'"]),
        ("hyperport run --disk disk.img,r", ["disk.img,ro"]),
        ("hyperport li", ["list"]),
    ],
)
def test_bash_completes(folder: Path, line: str, replies: list[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    (folder / "bin").mkdir()
    program = folder / "bin" / "hyperport"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m hyperport "$@"\n')
    program.chmod(0o755)
    code = f'{SCRIPTS["bash"]}\ncompopt() {{ :; }}\nCOMP_LINE="{line}" COMP_POINT={len(line)}; _hyperport\n'
    done = subprocess.run(
        [bash, "-c", code + 'printf "%s\\n" "${COMPREPLY[@]}"'],
        env=os.environ
        | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == replies
