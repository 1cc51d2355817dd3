# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport trace: what to do with a recorded trace. One function for each of show, export, diff and play."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyperport.errors import UsageError
from hyperport.host.notes import note

if TYPE_CHECKING:
    from hyperport.observe.symbols import Symbols
    from hyperport.observe.trace_diff import Element
    from hyperport.observe.trace_file import Record, TraceFile

STATUS_DIFFERENT: Final = 1
SHOWN: Final = 10  # elements on either side of a difference, mismatches of a play


def trace(action: str, *files: str, **options: Any) -> int:
    """Do what action says with these trace files; options by word, see cli/options.py. Returns the exit status."""
    if action not in ACTIONS:
        raise UsageError(f"trace {action!r}: write {', '.join(ACTIONS)}, then FILE. See --help.")
    function, wanted = ACTIONS[action]
    if len(files) != wanted:
        raise UsageError(f"trace {action}: it takes {'one file' if wanted == 1 else 'two files'}, not {len(files)}")
    return function(*files, **options)


def _records(trace: TraceFile, options: dict[str, Any], symbols: Symbols | None) -> Iterator[Record]:
    """The records that --filter leaves; interrupt lines only where there is none."""
    text = options["filter"]
    if not text:
        yield from trace.records()
        return
    from hyperport.observe.filter import compile_filter

    program = compile_filter(text, trace.windows, symbols.functions if symbols else None, trace.memory)
    for access in trace.accesses():
        if program.takes(access):
            yield access


def _symbols(trace: TraceFile, options: dict[str, Any]) -> Symbols | None:
    """Of --symbols; else of the kernel that the trace names, if that is still there and has some."""
    from hyperport.observe.symbols import load_symbols

    kernel = trace.description.get("kernel")
    return load_symbols(options["symbols"], Path(kernel) if kernel and Path(kernel).is_file() else None)


def _tell(trace: TraceFile) -> None:
    for line in trace.trouble:
        note(f"trace {trace.name}: {line}")


def show(file: str, **options: Any) -> int:
    """A line for each record on stdout."""
    from hyperport.observe.trace_decode import TracedAccess
    from hyperport.observe.trace_file import TraceFile
    from hyperport.observe.trace_show import plain_lines, text_line

    with TraceFile(file) as trace:
        symbols = _symbols(trace, options)
        for record in _records(trace, options, symbols):
            if not options["plain"]:
                sys.stdout.write(text_line(trace, record, symbols) + "\n")
            elif isinstance(record, TracedAccess):
                sys.stdout.writelines(f"{line}\n" for line in plain_lines(record))
        _tell(trace)
    return 0


def export(file: str, **options: Any) -> int:
    """JSON lines or Perfetto's form, to --output or stdout."""
    from hyperport.observe.trace_file import TraceFile
    from hyperport.observe.trace_show import json_row, write_perfetto

    with TraceFile(file) as trace:
        symbols = _symbols(trace, options)
        records = _records(trace, options, symbols)
        output: Path | None = options["output"]
        try:
            with nullcontext(sys.stdout.buffer) if output is None else output.open("wb") as stream:
                if options["format"] == "perfetto":
                    write_perfetto(trace, records, stream, symbols)
                else:
                    import msgspec

                    encoder = msgspec.json.Encoder()
                    for record in records:
                        stream.write(encoder.encode(json_row(trace, record, symbols)) + b"\n")
                stream.flush()
        except OSError as error:
            if output is not None:
                error.filename = str(output)  # a write that fails has none
            raise
        _tell(trace)
    return 0


def diff(left: str, right: str, **options: Any) -> int:
    """Where two traces part; 0 if they do not."""
    from hyperport.observe.trace_decode import TracedAccess
    from hyperport.observe.trace_diff import elements, first_difference
    from hyperport.observe.trace_file import TraceFile
    from hyperport.observe.trace_show import text_line

    with TraceFile(left) as one, TraceFile(right) as other:
        names = [_symbols(trace, options) for trace in (one, other)]

        def of(trace: TraceFile, symbols: Symbols | None) -> Iterator[Element]:
            records = _records(trace, options, symbols)
            return elements((each for each in records if isinstance(each, TracedAccess)), options["squeeze"])

        found = first_difference(of(one, names[0]), of(other, names[1]))
        if not isinstance(found, int):
            print(f"after {found.equal} equal elements:")
            for element in found.before:
                print(f"   {text_line(one, element.access, names[0])}")
            for mark, trace, symbols, only in (("-", one, names[0], found.left), ("+", other, names[1], found.right)):
                for element in only[:SHOWN]:
                    print(f" {mark} {text_line(trace, element.access, symbols)}")
                if len(only) > SHOWN:
                    print(f" {mark} and {len(only) - SHOWN} more")
                if not only:
                    print(f" {mark} nothing in {trace.name}")
            print(f"then {found.agree} agree again" if found.agree else "they do not meet again near by")
            return STATUS_DIFFERENT
        for trace in (one, other):
            _tell(trace)
        print(f"equal: {found} elements")
        return 0


def play(file: str, **options: Any) -> int:
    """Give the trace to the machine's chips, or to a device of the user's, and compare what they read."""
    from hyperport.observe.figures import counted
    from hyperport.observe.trace_decode import TracedAccess
    from hyperport.observe.trace_file import TraceFile
    from hyperport.observe.trace_play import Played, play_device
    from hyperport.observe.trace_play import play as play_on

    with TraceFile(file) as trace:
        symbols = _symbols(trace, options)
        records = _records(trace, options, symbols)
        accesses = (each for each in records if isinstance(each, TracedAccess))
        wall_ns = int(trace.description.get("wall_ns", 0))
        result: Played
        if options["device"] is not None:
            from hyperport.machine.plugins import make_device

            spec = options["device"]
            result = play_device(accesses, make_device(spec), spec.base, memory=spec.memory, wall_ns=wall_ns)
        else:
            from hyperport.machine.machine import Machine
            from hyperport.time.clock import VirtualClock

            clock = VirtualClock(wall_ns)
            with Machine(engine="scripted", clock=clock, testdev=True) as machine:
                result = play_on(accesses, machine.bus, clock, attention=machine.attention)
        _tell(trace)
    for mismatch in result.mismatches[:SHOWN]:
        print(mismatch)
    told = f"{counted(result.accesses, 'access')} played; {result.different} of {counted(result.reads, 'read')} differ"
    if result.different > SHOWN:
        told += f", {SHOWN} are shown"
    print(told)
    return STATUS_DIFFERENT if result.different else 0


ACTIONS: Final[dict[str, tuple[Callable[..., int], int]]] = {
    "show": (show, 1),
    "export": (export, 1),
    "diff": (diff, 2),
    "play": (play, 1),
}
