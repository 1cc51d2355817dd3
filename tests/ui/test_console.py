# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperport.errors import ConfigError
from hyperport.host.channel import Channel, PtyChannel
from hyperport.host.char import FdBackend
from hyperport.host.unix_channel import UnixChannel
from hyperport.lines.attention import Attention, StopKind
from hyperport.time.clock import VirtualClock
from hyperport.ui import console
from hyperport.ui.console import StdioChannel, open_channel

from ..host.watching import WatcherThread, eventually

RING = 65536  # bytes that a backend holds for the guest


class Stops(list[StopKind]):
    """The stops that a channel asked for."""

    def __call__(self, kind: StopKind) -> None:
        self.append(kind)


@pytest.fixture
def events() -> Iterator[WatcherThread]:
    with WatcherThread() as watcher:
        yield watcher


def heard(channel: Channel) -> bytes:
    """What the guest reads now."""
    data = bytearray()
    while (byte := channel.backend.take()) is not None:
        data.append(byte)
    return bytes(data)


def hears(channel: Channel, expected: bytes) -> bool:
    got = b""

    def all_there() -> bool:
        nonlocal got
        got += heard(channel)
        return len(got) >= len(expected)

    eventually(all_there)
    return got == expected


def read_exactly(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += os.read(fd, count - len(data))
    return data


def test_null_drops_output_and_gives_no_input(events: WatcherThread) -> None:
    with open_channel("null") as channel:
        channel.start(events, Stops())
        channel.backend.emit(b"lost\n")
        assert heard(channel) == b""
        channel.stop()


def test_file_is_emptied_and_gets_all_bytes(tmp_path: Path, events: WatcherThread) -> None:
    path = tmp_path / "log"
    path.write_text("of an earlier run, which was longer")
    with open_channel(f"file:{path}") as channel:
        channel.start(events, Stops())
        channel.backend.emit(b"one\r\n\x00\xff two")
        channel.stop()
    assert path.read_bytes() == b"one\r\n\x00\xff two"


def test_file_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"serial line: .*No such file or directory; give"):
        open_channel(f"file:{tmp_path}/none/log")


@pytest.fixture
def pty(events: WatcherThread, capsys: pytest.CaptureFixture[str]) -> Iterator[PtyChannel]:
    with open_channel("pty") as channel:
        assert isinstance(channel, PtyChannel)
        channel.start(events, Stops())
        assert capsys.readouterr().err == f"hyperport: serial line on {channel.name}\n"
        yield channel
        channel.stop()


def open_slave(channel: PtyChannel) -> int:
    return os.open(channel.name, os.O_RDWR | os.O_NOCTTY)


def test_pty_carries_both_directions_unchanged(pty: PtyChannel) -> None:
    slave = open_slave(pty)
    os.write(slave, b"ls\r\x03\x04")
    assert hears(pty, b"ls\r\x03\x04")
    pty.backend.emit(b"a\r\nb\n")
    assert read_exactly(slave, 5) == b"a\r\nb\n"
    os.close(slave)


def test_pty_survives_that_its_user_leaves_and_comes_back(pty: PtyChannel, events: WatcherThread) -> None:
    for text in (b"first\r", b"second\r"):
        slave = open_slave(pty)
        os.write(slave, text)
        assert hears(pty, text)
        os.close(slave)
        pty.backend.emit(b"to nobody\n" * 20000)
    assert isinstance(pty.backend, FdBackend)
    assert not pty.backend.broken
    slave = open_slave(pty)
    pty.backend.emit(b"again\n")
    assert read_exactly(slave, 6) == b"again\n"
    os.close(slave)


def test_pty_without_a_user_does_not_spin(pty: PtyChannel, events: WatcherThread) -> None:
    before = events.calls
    eventually(lambda: events.calls >= before + 5)
    rests = events.calls - before
    assert rests <= 50  # each is followed by a rest of 10 ms


@pytest.fixture
def listening(tmp_path: Path, events: WatcherThread) -> Iterator[UnixChannel]:
    with open_channel(f"unix:{tmp_path}/console") as channel:
        assert isinstance(channel, UnixChannel)
        channel.start(events, Stops())
        yield channel
        channel.stop()


def connect(channel: UnixChannel) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect(str(channel.path))
    return client


def test_unix_client_talks_and_listens(listening: UnixChannel) -> None:
    with connect(listening) as client:
        client.sendall(b"uname\n")
        assert hears(listening, b"uname\n")
        listening.backend.emit(b"Linux\n")
        assert client.recv(100) == b"Linux\n"


def test_unix_output_without_a_client_is_lost_and_later_clients_are_served(listening: UnixChannel) -> None:
    for turn in (b"1\n", b"2\n", b"3\n"):
        listening.backend.emit(b"to nobody\n" * 20000)
        with connect(listening) as client:
            client.sendall(turn)
            assert hears(listening, turn)
            listening.backend.emit(turn)
            assert client.recv(100) == turn
        assert eventually(lambda: listening.client is None)


def test_unix_second_client_waits_for_the_first_to_leave(listening: UnixChannel) -> None:
    with connect(listening) as first:
        first.sendall(b"a")
        assert hears(listening, b"a")
        second = connect(listening)
        second.sendall(b"b")
        listening.backend.emit(b"for the first\n")
        assert first.recv(100) == b"for the first\n"
    assert hears(listening, b"b")
    listening.backend.emit(b"for the second\n")
    assert second.recv(100) == b"for the second\n"
    second.close()


def test_unix_no_byte_is_lost_when_the_guest_reads_late(listening: UnixChannel) -> None:
    sent = bytes(n * 7 & 0xFF for n in range(3 * RING))
    with connect(listening) as client:
        client.setblocking(False)
        done, got = 0, b""

        def push_and_read() -> bool:
            nonlocal done, got
            if done < len(sent):
                try:
                    done += client.send(sent[done:])
                except BlockingIOError:
                    got += heard(listening)  # only when nothing more fits anywhere
            else:
                got += heard(listening)
            return len(got) >= len(sent)

        assert eventually(push_and_read, 30)
    assert got == sent


def test_unix_name_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "console"
    with open_channel(f"unix:{path}"):
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()


def test_unix_name_that_another_took_over_is_left(tmp_path: Path) -> None:
    path = tmp_path / "console"
    with open_channel(f"unix:{path}"):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


def test_unix_stale_socket_is_replaced_but_nothing_else(tmp_path: Path) -> None:
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(stale))
    open_channel(f"unix:{stale}").close()
    precious = tmp_path / "precious"
    precious.write_text("data")
    with pytest.raises(ConfigError, match="exists and is no socket"):
        open_channel(f"unix:{precious}")
    assert precious.read_text() == "data"


def test_unix_socket_of_a_living_process_is_left(tmp_path: Path) -> None:
    path = tmp_path / "console"
    with open_channel(f"unix:{path}"):
        with pytest.raises(ConfigError, match="another process listens"):
            open_channel(f"unix:{path}")
        assert path.exists()


def test_unix_name_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AF_UNIX path too long; give another path"):
        open_channel(f"unix:{tmp_path}/{'x' * 120}")


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The master's end of a terminal that is stdin and stdout."""
    master, slave = os.openpty()
    monkeypatch.setattr(console, "STDIN", slave)
    monkeypatch.setattr(console, "STDOUT", slave)
    yield master
    os.close(slave)
    os.close(master)


def test_all_that_was_typed_arrives_in_order_when_the_guest_reads_late(typist: int, events: WatcherThread) -> None:
    typed = b"".join(b"%06d\r" % number for number in range(RING // 7 * 3))
    stops = Stops()
    with open_channel("stdio") as channel:
        channel.start(events, stops)
        for at in range(0, len(typed), 1024):
            os.write(typist, typed[at : at + 1024])
        os.write(typist, b"\x01x")
        assert eventually(lambda: stops == [StopKind.QUIT])
        assert channel.backend.room() == 0
        assert hears(channel, typed)
        channel.stop()


def type_all(typist: int, typed: bytes) -> None:
    for at in range(0, len(typed), 500):
        os.write(typist, typed[at : at + 500])


def test_beyond_the_bound_typed_bytes_stay_in_the_terminal(
    typist: int, events: WatcherThread, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "MOST_WAITING", 2000)
    typed = bytes(range(32, 127)) * ((RING + 4000) // 95)
    stops = Stops()
    with open_channel("stdio") as channel:
        channel.start(events, stops)
        fingers = threading.Thread(target=type_all, args=(typist, typed + b"\x01x"))  # the terminal may hold them up
        fingers.start()
        assert eventually(lambda: isinstance(channel, StdioChannel) and channel.told)
        assert stops == []
        assert hears(channel, typed)
        assert eventually(lambda: stops == [StopKind.QUIT])
        fingers.join()
        channel.stop()
    assert capfd.readouterr().err.count("the guest takes no input") == 1


def test_pty_mode_is_raw(pty: PtyChannel) -> None:
    slave = open_slave(pty)
    mode = termios.tcgetattr(slave)
    os.close(slave)
    assert not mode[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert not mode[1] & termios.OPOST


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """(reader, writer) of a blocking pipe that takes nothing more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, b"x" * 4096):
            pass
    os.set_blocking(writer, True)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def connected(writer: int) -> tuple[FdBackend, Attention]:
    backend, attention = FdBackend(writer), Attention()
    backend.connect(attention, VirtualClock())
    return backend, attention


def test_stuck_reader_does_not_hold_a_machine_that_must_stop(full_pipe: tuple[int, int]) -> None:
    reader, writer = full_pipe
    backend, attention = connected(writer)
    attention.stop(StopKind.QUIT)
    backend.emit(b"never read\n")
    attention.take_stop()
    backend.emit(b"nor this, which is sent after the run\n")
    assert not backend.broken
    assert set(os.read(reader, 1 << 20)) == {ord("x")}
    backend.emit(b"it reads again\n")
    assert os.read(reader, 1 << 20) == b"it reads again\n"


def test_signal_handler_has_its_turn_while_a_reader_is_stuck(full_pipe: tuple[int, int]) -> None:
    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    backend, attention = connected(full_pipe[1])
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    backend.emit(b"never read\n")
    signal.signal(signal.SIGALRM, before)
    kind, _, failure, _ = attention.take_stop()
    assert kind == StopKind.DEVICE_ERROR
    assert isinstance(failure, KeyboardInterrupt)


def test_reader_that_is_gone_is_noticed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    backend = FdBackend(writer)
    backend.emit(b"to nobody\n")
    assert backend.broken
    assert backend.bytes_out == 0
    os.close(writer)
