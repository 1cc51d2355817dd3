# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's ends of network cables: sockets that come and go, passt, taps, and what is said when one is not there."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperport.errors import ConfigError
from hyperport.host import net
from hyperport.host.net import Link, open_link
from hyperport.host.packet import StreamPackets
from hyperport.host.specs import NetSpec, parse_net

from .watching import WatcherThread, eventually

FRAME = bytes(range(60))
OTHER = bytes(reversed(FRAME))


@pytest.fixture
def watcher() -> Iterator[WatcherThread]:
    with WatcherThread() as running:
        yield running


def received(link: Link) -> Callable[[], bool]:
    return lambda: link.backend.room() < 1024


def test_none() -> None:
    with open_link(NetSpec()) as link:
        assert link.backend.emit(FRAME)
        assert link.backend.lost_out == 1


def test_two_machines_over_a_socket(tmp_path: Path, watcher: WatcherThread) -> None:
    path = tmp_path / "cable"
    with open_link(NetSpec(kind="listen", target=str(path))) as left:
        left.start(watcher)
        assert left.backend.emit(FRAME)
        assert left.backend.lost_out == 1, "nobody is there yet"
        with open_link(NetSpec(kind="socket", target=str(path))) as right:
            right.start(watcher)
            assert right.backend.emit(FRAME)
            assert eventually(received(left))
            assert left.backend.take() == FRAME
            assert left.backend.emit(OTHER)
            assert eventually(received(right))
            assert right.backend.take() == OTHER
            right.stop()
        assert isinstance(left.backend, StreamPackets)
        backend = left.backend
        assert eventually(lambda: not backend.plugged)
        with open_link(NetSpec(kind="socket", target=str(path))) as again:
            assert eventually(lambda: backend.plugged)
            assert again.backend.emit(OTHER)
            assert eventually(received(left))
        left.stop()
    assert not path.exists()


def test_a_listener_that_goes_is_told(
    tmp_path: Path, watcher: WatcherThread, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cable"
    left = open_link(NetSpec(kind="listen", target=str(path)))
    left.start(watcher)
    with open_link(NetSpec(kind="socket", target=str(path))) as right:
        right.start(watcher)
        assert isinstance(left.backend, StreamPackets)
        backend = left.backend
        assert eventually(lambda: backend.plugged)
        left.stop()
        left.close()
        told = ""

        def hear() -> bool:
            nonlocal told
            told += capsys.readouterr().err
            return "the other end has gone" in told

        assert eventually(hear)
        right.stop()


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="start the one with listen= first"):
        open_link(NetSpec(kind="socket", target=str(tmp_path / "cable")))


def test_a_name_in_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"network: .* is no socket"):
        open_link(NetSpec(kind="listen", target=str(tmp_path / "file")))
    first = open_link(NetSpec(kind="listen", target=str(tmp_path / "cable")))
    with first, pytest.raises(ConfigError, match="another process listens"):
        open_link(NetSpec(kind="listen", target=str(tmp_path / "cable")))
    assert (tmp_path / "file").read_text() == "x"


def test_pcap_is_whole_when_the_run_has_ended(tmp_path: Path, watcher: WatcherThread) -> None:
    with open_link(NetSpec(pcap=tmp_path / "a.pcap")) as link:
        link.start(watcher)
        link.backend.emit(FRAME)
        link.backend.deliver(OTHER)
        link.stop()
        assert (tmp_path / "a.pcap").stat().st_size == 24 + 2 * (16 + 60)


def test_without_passt_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt install passt"):
        open_link(NetSpec(kind="user"))


def fake_passt(folder: Path, script: str) -> None:
    program = folder / "passt"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_passt_is_started_with_its_end_of_a_socket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, watcher: WatcherThread
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    send = 'import os, sys; os.write(int(sys.argv[1]), bytes(3) + bytes([14]) + b"A" * 14)'
    fake_passt(tmp_path, f"echo \"$@\" >{tmp_path}/arguments\nexec {sys.executable} -c '{send}' $5")
    with open_link(parse_net("user,tcp=2222:22,udp=53")) as link:
        words = (tmp_path / "arguments").read_text().split()
        assert words[:4] == ["--quiet", "--mtu", "1500", "--fd"]
        assert words[5:] == ["--tcp-ports", "2222:22", "--udp-ports", "53"]
        link.start(watcher)
        assert eventually(received(link))
        assert link.backend.take() == b"A" * 14 + bytes(46)
        link.stop()


def test_passt_that_cannot_start_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake_passt(tmp_path, "echo 'Failed to send 9 bytes to syslog' >&2; echo 'No interfaces' >&2; exit 1")
    with pytest.raises(ConfigError) as caught:
        open_link(NetSpec(kind="user"))
    assert str(caught.value) == "network user: passt cannot start: No interfaces"


def test_passt_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(net, "PASST_START_S", 0.2)
    fake_passt(tmp_path, "exec sleep 20")
    with pytest.raises(ConfigError, match="was not ready"):
        open_link(NetSpec(kind="user"))


def test_a_tap_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(net, "TUN_DEVICE", str(tmp_path / "tun"))
    with pytest.raises(ConfigError, match=r"network tap tap0: No such file or directory: .*modprobe tun"):
        open_link(NetSpec(kind="tap", target="tap0"))
    (tmp_path / "tun").write_bytes(b"")
    with pytest.raises(ConfigError, match="network tap tap0: "):
        open_link(NetSpec(kind="tap", target="tap0"))


@pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun is not for this user")
def test_a_tap_is_an_interface_of_the_host() -> None:
    try:
        link = open_link(NetSpec(kind="tap", target="hptest%d"))
    except ConfigError as error:
        pytest.skip(str(error))
    with link:
        names = [name for _, name in socket.if_nameindex() if name.startswith("hptest")]
        assert len(names) == 1
        assert link.backend.emit(FRAME)
        assert link.backend.lost_out == 1, "it is down"
    assert not [name for _, name in socket.if_nameindex() if name.startswith("hptest")]


def test_passt_that_dies_in_the_middle_of_a_frame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One whole frame, half of the next, and then it is gone, as by kill -9: the half never arrives."""
    # "<" is 60, the length of a frame
    send = "import os, sys; os.write(int(sys.argv[1]), bytes(3) + b'<' + b'a' * 60 + bytes(3) + b'<' + b'b' * 30)"
    fake_passt(tmp_path, f'exec {sys.executable} -c "{send}" $5')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with WatcherThread() as watcher, open_link(NetSpec(kind="user")) as link:
        link.start(watcher)
        backend: Any = link.backend
        assert eventually(lambda: not backend.plugged)
        assert link.backend.take() == b"a" * 60
        assert link.backend.take() is None
        assert link.backend.emit(b"c" * 60), "the guest's card is not held up"
        assert link.backend.lost_out == 1
        link.stop()
    assert capsys.readouterr().err == "hyperport: network user: the other end has gone; the cable is unplugged\n"
