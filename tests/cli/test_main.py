# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hyperport import Machine, VirtualClock
from hyperport.cli.list import columns
from hyperport.cli.options import VERBS
from hyperport.debug import monitor
from hyperport.ui.keyboard import keys_for, stroke

from . import fake_machine
from .conftest import Cli


def test_help_names_every_verb_on_stdout(cli: Cli) -> None:
    status, out, err = cli("--help")
    assert (status, err) == (0, "")
    assert all(f"\n  {name} " in out and verb.summary in out for name, verb in VERBS.items())


def test_version(cli: Cli) -> None:
    status, out, _ = cli("--version")
    assert status == 0
    assert out.startswith("hyperport")


def test_no_color_is_honoured(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[3" not in cli("run", "--help")[1]


def test_the_command_line_alone_imports_no_engine_and_no_verb() -> None:
    code = "import sys, hyperport.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "hyperport.cli.main" in imported
    assert not {"unicorn", "hyperport.engines.unicorn", "hyperport.cli.run", "hyperport.guests.registry"} & imported


def test_list_guests(cli: Cli) -> None:
    assert cli("list", "guests") == (0, "tiny  ready     small\nfar   to fetch  to be fetched\n", "")


def test_list_as_json(cli: Cli) -> None:
    status, out, _ = cli("list", "guests", "--json")
    assert status == 0
    assert json.loads(out)[1] == {"name": "far", "ready": "to fetch", "description": "to be fetched"}


def test_list_devices_and_engines(cli: Cli) -> None:
    assert cli("list", "devices")[:2] == (0, "0300  scratch\n")
    assert cli("list", "engines")[:2] == (0, "unicorn  ok  plays a guest\nkvm      ok  plays a guest\n")


def test_list_of_something_else(cli: Cli) -> None:
    status, out, err = cli("list", "wishes")
    assert (status, out) == (2, "")
    assert err.startswith("hyperport: ")
    assert err.count("\n") == 1


def test_list_into_a_closed_pipe_is_quiet() -> None:
    program = str(Path(fake_machine.__file__))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{{ {sys.executable} {program} list guests; echo $? >&2; }} | true"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": "/bin:/usr/bin"},
    )
    assert done.stderr.strip() in ("0", "141")  # 0 where the reader left only after the list


def test_columns_of_nothing() -> None:
    assert columns([]) == ""


def test_doctor_says_ok_when_the_embedded_engine_works(cli: Cli) -> None:
    status, out, err = cli("doctor")
    assert (status, err) == (0, "")
    lines = {line[4:].split("  ")[0].strip(): line for line in out.splitlines()}
    assert lines["unicorn: library"].startswith("ok  ")
    assert lines["python"].startswith("ok  ")
    assert lines["kvm: library"].startswith("ok  ")
    assert "takes fake: there is no other" in lines["engine auto"]


def test_doctor_fails_when_the_embedded_engine_does_not_work(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (fake_machine.FakeCheck("library", False, "another build: install unicorn==2.1.4"),)
    monkeypatch.setattr(fake_machine.FakeEngineEntry, "checks", broken)
    status, out, _ = cli("doctor", "--json")
    assert status == 70
    row = next(row for row in json.loads(out) if row["name"] == "unicorn: library")
    assert (row["ok"], row["detail"]) == (False, "another build: install unicorn==2.1.4")
    trouble = "no  library: another build: install unicorn==2.1.4\n"
    assert cli("list", "engines")[1] == f"unicorn  {trouble}kvm      {trouble}"


def test_doctor_names_a_program_that_is_missing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    status, out, _ = cli("doctor")
    assert status == 0
    assert "not found; for hyperport fetch" in out


class Typed:
    """Lines for the monitor."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.resumed = 0

    def read_line(self, give_up: object) -> str | None:
        return self.lines.pop(0) if self.lines else None

    def resume(self) -> None:
        self.resumed += 1


def test_monitor_shows_the_machine_until_it_may_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_machine.Machine() as machine:
        machine.bus.inp(0x300)
        lines = Typed("", "help", "reg", "ports", "d", "nix", "cont", "never read")
        assert monitor.Monitor(lines)(machine) == monitor.CONTINUE
    out, err = capsys.readouterr()
    assert out == ""
    for words in ("show this list", "eip 00001234", "0300     1  in", "0300-0300  scratch", "nix: no such command"):
        assert words in err
    assert (lines.lines, lines.resumed) == (["never read"], 1)


def test_monitor_shows_and_writes_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "screen.png"
    lines = Typed("screen", "s", "screenshot", f"screens {picture}", f"screenshot {tmp_path}/none/x", "cont")
    with Machine(clock=VirtualClock()) as machine:
        machine.memory.write(0xB8000, b"H\x07i\x07")
        assert monitor.Monitor(lines)(machine) == monitor.CONTINUE
    assert picture.read_bytes().startswith(b"\x89PNG")
    err = capsys.readouterr().err
    for words in (
        "  Hi\n",
        "could be screen, save, screenshot",
        "screenshot FILE.png",
        "No such file or directory; name another",
    ):
        assert words in err


def test_monitor_types_and_presses_keys(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Typed("keys ctrl alt delete", "type ls -l", "keys hyper", "type \u00e9", "keys", "cont")
    with Machine(clock=VirtualClock()) as machine:
        room = machine.keys.room()
        assert monitor.Monitor(lines)(machine) == monitor.CONTINUE
        waiting = stroke("ctrl", "alt", "delete") + b"".join(stroke(*keys_for(character)) for character in "ls -l\n")
        assert room - machine.keys.room() == len(waiting)
    err = capsys.readouterr().err
    for words in ("no key 'hyper'; keys are", "'\u00e9' is not on a US keyboard", "press keys together: keys ctrl alt"):
        assert words in err


def test_monitor_leaves_on_quit_and_at_the_end_of_input() -> None:
    with fake_machine.Machine() as machine:
        for lines in (Typed("q"), Typed()):
            assert monitor.Monitor(lines)(machine) == monitor.QUIT
            assert lines.resumed == 0


def test_monitor_goes_on_when_a_signal_has_asked_for_the_end() -> None:
    with fake_machine.Machine() as machine:
        assert monitor.Monitor(Typed(), lambda: True)(machine) == monitor.CONTINUE


def test_python_m_hyperport_gives_the_status() -> None:
    done = subprocess.run([sys.executable, "-m", "hyperport", "list", "nothing"], capture_output=True, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt, 130), (ValueError, 70)])
def test_ctrl_c_in_a_class_body_is_no_error_of_ours(
    raised: type[BaseException], status: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython 3.11 makes a RuntimeError of what __set_name__() raises; an import may be there when Ctrl-C comes."""

    class Named:
        def __set_name__(self, owner: type, name: str) -> None:
            raise raised

    def interrupted(*_: object) -> None:
        type("Body", (), {"named": Named()})

    monkeypatch.setattr("hyperport.cli.main.collect_from_here", interrupted)
    found, _, err = cli("list", "guests")
    assert found == status
    assert ("Traceback" in err) == (status == 70)
