# SPDX-License-Identifier: GPL-2.0-or-later
"""A serial line on a listening Unix socket."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

from hyperport.errors import ConfigError
from hyperport.host.channel import Channel, Events, RequestStop, close_unwritten
from hyperport.host.char import FdBackend
from hyperport.host.notes import hint
from hyperport.host.unix_socket import identity, listen, remove


class UnixChannel(Channel):
    """A listening Unix socket, for one client at a time; the next one waits in the queue.

    The backend writes to one descriptor all the time, which is made a duplicate of the client's socket, or of
    /dev/null while there is no client: so output is lost then, and the guest never waits for nobody. A client that
    closes its sending side counts as gone.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path = Path(path)
        self.client: socket.socket | None = None
        self.lock = threading.Lock()  # the client comes and goes on the watcher thread, stop() is called on another
        self.nowhere = self.sink = -1
        self.unheard = 0  # bytes that were sent while there was no client
        self._since: int | None = 0  # what the backend had sent when the last client left; None: one is here
        self.listener = listen(path, "serial line")
        self.identity = identity(path)
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            try:
                self.nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
                self.sink = os.dup(self.nowhere)
            except OSError as error:
                raise ConfigError(f"serial line: {path}: {error.strerror}; close other files or use pty") from error
            super().__init__(FdBackend(self.sink, reconnects=True, where=f"serial line: {path}"))
            undo.pop_all()

    def start(self, events: Events, request_stop: RequestStop) -> None:
        """Wait for a client."""
        super().start(events, request_stop)
        hint(f"serial line on {self.path}")
        events.watch(self.listener.fileno(), self._arriving)

    def stop(self) -> None:
        """Send what is left and see the client off."""
        events = self.events
        super().stop()
        if events:
            events.unwatch(self.listener.fileno())
            self._hang_up(events)
            self._count(here=False)
            if self.unheard:
                hint(f"serial line on {self.path}: nobody was there: {self.unheard} bytes of output are lost")

    def close(self) -> None:
        """Close the socket and remove its name, if it is still ours."""
        if self.listener.fileno() >= 0:
            remove(self.path, self.identity)
            with contextlib.suppress(OSError):  # it is closed, whatever the answer
                self.listener.close()
            for fd in (self.sink, self.nowhere):
                if fd >= 0:
                    close_unwritten(fd)

    def _arriving(self) -> bool:
        with self.lock:
            if self.client or not self.events:
                return False
            client = None
            try:
                client, _ = self.listener.accept()
                client.setblocking(False)
                os.dup2(client.fileno(), self.sink, inheritable=False)
            except OSError:  # the client has left again already, or there are too many open files: later
                if client is not None:
                    client.close()
                return False
            self.client = client
            self._count(here=True)
            self.events.unwatch(self.listener.fileno())
            self.events.watch(client.fileno(), self._readable)
        return True

    def _count(self, *, here: bool) -> None:
        """Keep count of what nobody heard; here: whether there is a client from now on."""
        sent = self.backend.bytes_out
        if self._since is not None:
            self.unheard += sent - self._since
        self._since = None if here else sent

    def _readable(self) -> bool:
        events, client = self.events, self.client
        if not events or not client or not self.backend.room():
            return False
        try:
            data = self._take(client.fileno())
        except OSError:  # the connection was reset
            data = b""
        if data:
            self.backend.feed(data)
        elif data == b"":
            self._hang_up(events)
            if self.events:
                events.watch(self.listener.fileno(), self._arriving)
        return True

    def _hang_up(self, events: Events) -> None:
        with self.lock:
            if self.client:
                events.unwatch(self.client.fileno())
                os.dup2(self.nowhere, self.sink, inheritable=False)
                self._count(here=False)
                with contextlib.suppress(OSError):  # it is closed, whatever the answer
                    self.client.close()
                self.client = None
