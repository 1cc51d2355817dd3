# SPDX-License-Identifier: GPL-2.0-or-later
"""--trace and --trace-ports: traces of a machine's port accesses, from their opening to their end.

The text of --trace-ports has a line for each element, in the order in which the devices saw them:

    out 03f8 1 41           direction, port, size in bytes, value; all but the size in hexadecimal
    in  03fd 1 60
    st  000d0000 4 00000001     a store to device memory: physical address; ld is a load

No times and no paths: traces of two runs of the same guest, whatever the path or engine, can be compared by diff.
For the same reason a string access gives a line for each element.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from hyperport.bus.access import Direction, PortAccess, Space
from hyperport.errors import ConfigError, UsageError
from hyperport.host.notes import note
from hyperport.options import parse_number, parse_size

if TYPE_CHECKING:
    from hyperport.machine.machine import Machine
    from hyperport.observe.filter_program import FilterProgram
    from hyperport.observe.recorder import Recorder

WORDS: Final = {
    (Space.PORT, Direction.IN): "in  {:04x}",
    (Space.PORT, Direction.OUT): "out {:04x}",
    (Space.MEMORY, Direction.IN): "ld  {:08x}",
    (Space.MEMORY, Direction.OUT): "st  {:08x}",
}
STDERR: Final = "-"
EVERY: Final = 4  # of accesses close together, every how many has its own reading of the clock


def trace_lines(access: PortAccess) -> str:
    """The lines of one access."""
    head = f"{WORDS[access.space, access.direction].format(access.port)} {access.size}"
    size, data = access.size, access.data
    return "".join(
        f"{head} {int.from_bytes(data[at : at + size], 'little'):0{2 * size}x}\n" for at in range(0, len(data), size)
    )


@dataclass(frozen=True, slots=True)
class TraceSpec:
    """What --trace asks for. ring: bytes that the last accesses may have; None: all are kept. every: see EVERY."""

    path: Path | str
    ring: int | None = None
    every: int = EVERY


def parse_trace(text: str) -> TraceSpec:
    """FILE[,ring=SIZE][,time=N]."""
    path, *settings = text.split(",")
    if not path:
        raise UsageError(f"trace {text!r}: it needs a file: write FILE, or FILE,ring=1M for the last accesses")
    ring, every, given = None, EVERY, set[str]()
    for setting in settings:
        key, _, value = setting.partition("=")
        if key in given:
            raise UsageError(f"trace {text!r}: {key} is given twice")
        given.add(key)
        if key == "ring":
            ring = parse_size(value)
        elif key == "time":
            every = parse_number(value, "time")
            if not 1 <= every <= 1000:
                raise UsageError(f"trace {text!r}: time={value}: write 1, for a reading of the clock each, to 1000")
        else:
            raise UsageError(f"trace {text!r}: {setting!r} is no setting: write ring=SIZE or time=N")
    return TraceSpec(Path(path), ring, every)


class _Output:
    """A trace's file. Once the host takes no more, that is told, and kept in `failure`, and the guest runs on."""

    what = "trace"

    def __init__(self, name: str, fd: int | None) -> None:
        self.name = name
        self.fd = fd
        self.failure: str | None = None

    def tell(self, error: int) -> None:
        """The host takes no more: an errno."""
        if self.failure is None:
            self.failure = os.strerror(error)
            note(f"{self.what}: {self.name}: {self.failure}; it is not complete")

    def close(self) -> None:
        """Close the file; once is enough."""
        if self.fd is not None:
            fd, self.fd = self.fd, None
            try:
                os.close(fd)
            except OSError as error:
                self.tell(error.errno or 0)


class PortTrace(_Output):
    """--trace-ports: a machine's accesses as text, on stderr ("-") or in a file, from now on."""

    what = "port trace"

    def __init__(self, bus: Any, destination: Path | str, program: FilterProgram | None = None) -> None:
        from hyperport.observe.text_trace import TextTrace

        live = str(destination) == STDERR
        super().__init__(
            "stderr" if live else str(destination), os.dup(2) if live else _create(Path(destination), self.what)
        )
        assert self.fd is not None
        self.observer = TextTrace(self.fd, filter=program, live=live, tell=self.tell)
        bus.observe(self.observer)

    def flush(self) -> None:
        """Write what is buffered."""
        self.observer.flush()

    def close(self) -> None:
        """Write what is buffered, and close the file; once is enough."""
        if self.fd is not None:
            self.flush()
        super().close()


class Trace(_Output):
    """--trace: a machine's accesses, with time and place, and its interrupt lines, from now on until close().

    spec: a TraceSpec or a file's name. program: which accesses. Raises ConfigError if the file cannot be written.
    """

    def __init__(self, machine: Machine, spec: TraceSpec | Path | str, program: FilterProgram | None = None) -> None:
        from hyperport.observe.recorder import LineRecorder, Recorder, require_ring

        self.spec = spec if isinstance(spec, TraceSpec) else TraceSpec(Path(spec))
        require_ring(self.spec.ring)  # before an older file is emptied
        self.machine = machine
        fd = _create(Path(self.spec.path), self.what)  # a ring's too: so that it is known now whether it can be written
        super().__init__(str(self.spec.path), fd)
        self._filter = "" if program is None else program.text
        self.recorder: Recorder = Recorder(
            machine.clock,
            None if self.spec.ring is not None else fd,
            ring=self.spec.ring,
            described=self._described(),
            filter=program,
            every=self.spec.every,
            tell=self.tell,
        )
        machine.bus.observe(self.recorder)
        machine.lines.listen(LineRecorder(self.recorder))
        self._idle = self.recorder.idle
        machine.when_idle.append(self._idle)

    def _described(self) -> bytes:
        """What the file says of the machine: the fields stand in docs/trace.md."""
        import msgspec

        machine = self.machine
        return msgspec.json.encode(
            {
                "hyperport": _version(),
                "engine": machine.engine.name,
                "io": machine.config.io,
                "kernel": None if machine.config.kernel is None else str(machine.config.kernel),
                "filter": self._filter,
                "wall_ns": machine.clock.wall_ns() - machine.clock.now_ns(),
                "windows": machine.bus.map(),
                "memory": machine.bus.memory_map(),
                "irqs": {str(number): owner for number, owner in machine.lines.owners.items()},
            }
        )

    def _ended(self) -> bytes:
        import msgspec

        recorder = self.recorder
        told = {"accesses": recorder.accesses, "lost": recorder.lost, "overwritten": recorder.overwritten}
        return msgspec.json.encode(told | {"ns": self.machine.clock.now_ns()})

    def flush(self) -> None:
        """Write what there is now. A ring writes itself whole."""
        if self.fd is None:
            return
        if self.spec.ring is None:
            self.recorder.flush()
            return
        try:
            os.ftruncate(self.fd, 0)
            os.lseek(self.fd, 0, os.SEEK_SET)
        except OSError:  # a pipe
            return
        self.recorder.save(self.fd, self._described(), self._ended())

    def close(self) -> None:
        """Write what there is, and close the file; once is enough."""
        if self.fd is None:
            return
        if self.spec.ring is None:
            self.recorder.close(self._ended())
        else:
            self.recorder.save(self.fd, self._described(), self._ended())
        self.machine.when_idle.remove(self._idle)
        self.machine.lines.listen(None)
        super().close()
        if self.recorder.lost:
            note(f"trace: {self.name}: {self.recorder.lost} accesses are lost")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _version() -> str:
    """Of hyperport; "" in a source tree that is not installed."""
    from importlib import metadata

    try:
        return metadata.version("hyperport")
    except metadata.PackageNotFoundError:
        return ""


def _create(path: Path, what: str) -> int:
    try:
        return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ConfigError(f"{what}: {path}: {error.strerror}; name another file") from error
