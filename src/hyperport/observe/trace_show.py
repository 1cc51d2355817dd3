# SPDX-License-Identifier: GPL-2.0-or-later
"""A trace as text, as JSON lines, and in Perfetto's form, one record after the other: any length goes through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from hyperport.errors import ConfigError
from hyperport.observe.symbols import Symbols
from hyperport.observe.trace import WORDS
from hyperport.observe.trace_decode import TracedAccess
from hyperport.observe.trace_file import Record, TraceFile

SHOWN_DATA: Final = 16  # bytes of a string
LEVELS: Final = ("low", "high")
NS: Final = 1_000_000_000
SEQUENCE: Final = 1  # of Perfetto packets: all are ours


def shown_data(access: TracedAccess) -> str:
    """The data as it is shown: the value, or the number of elements and the first of them."""
    if access.count == 1:
        return f"{access.value:0{2 * access.size}x}"
    more = "..." if len(access.data) > SHOWN_DATA else ""
    return f"x {access.count}: {access.data[:SHOWN_DATA].hex(' ', access.size)}{more}"


def text_line(trace: TraceFile, record: Record, symbols: Symbols | None = None) -> str:
    """One record for people: time in s, what, path, device, place. A `~` before the time: no reading of its own."""
    seconds = f"{record.ns // NS:>6}.{record.ns % NS:09}"
    if not isinstance(record, TracedAccess):
        return f"  {seconds} irq {record.line} {LEVELS[record.level]}"
    mark = " " if record.stamped else "~"
    what = f"{WORDS[record.space, record.direction].format(record.port)} {record.size} {shown_data(record)}"
    who = f"{record.path.name.lower():<9} {trace.device_of(record):<12} {_place(record, symbols)}"
    return f"{mark} {seconds} {what:<24} {who}".rstrip()


def _place(record: TracedAccess, symbols: Symbols | None) -> str:
    place = record.place
    if place is None:
        return ""
    name = symbols.told(place.eip) if symbols is not None else ""
    near = "" if place.exact else "near "
    return f"{near}{place.cs:04x}:{place.eip:08x} cpl {place.cpl} {name}"


def json_row(trace: TraceFile, record: Record, symbols: Symbols | None = None) -> dict[str, Any]:
    """One record as plain values; docs/trace.md lists the fields."""
    if not isinstance(record, TracedAccess):
        return {"ns": record.ns, "irq": record.line, "level": record.level}
    row: dict[str, Any] = {
        "number": record.number,
        "ns": record.ns,
        "stamped": record.stamped,
        "direction": record.direction.name.lower(),
        "space": record.space.name.lower(),
        "port": record.port,
        "size": record.size,
        "count": record.count,
        "path": record.path.name.lower(),
        "crossings": record.crossings,
        "device": trace.device_of(record),
    }
    row |= {"value": record.value} if record.count == 1 else {"data": record.data.hex()}
    place = record.place
    if place is not None:
        row |= {"cs": place.cs, "eip": place.eip, "cpl": place.cpl, "exact": place.exact}
        if symbols is not None:
            row["function"] = symbols.name(place.eip)
    return row


def write_perfetto(trace: TraceFile, records: Iterator[Record], stream: BinaryIO, symbols: Symbols | None) -> None:
    """Write records as Perfetto's protobuf, with a track for each device and interrupt line.

    Raises ConfigError where the package `perfetto` is not installed.
    """
    try:
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent
        from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder
    except ImportError:
        raise ConfigError("perfetto's form needs its package: pip install 'hyperport[perfetto]'") from None
    builder = StreamingTraceProtoBuilder(stream)
    tracks: dict[str | int, int] = {}

    def track(of: str | int) -> int:
        """The track of a device or line; its first event introduces it."""
        if of not in tracks:
            tracks[of] = len(tracks) + 1
            packet = builder.create_packet()
            packet.track_descriptor.uuid = tracks[of]
            owner = trace.description.get("irqs", {}).get(str(of), "")
            packet.track_descriptor.name = of if isinstance(of, str) else f"IRQ {of} {owner}".rstrip()
            builder.write_packet(packet)
        return tracks[of]

    high: set[int] = set()
    for record in records:
        of = track(trace.device_of(record) if isinstance(record, TracedAccess) else record.line)
        packet = builder.create_packet()
        packet.timestamp = record.ns
        packet.trusted_packet_sequence_id = SEQUENCE
        event = packet.track_event
        event.track_uuid = of
        if isinstance(record, TracedAccess):
            event.type = TrackEvent.TYPE_INSTANT
            event.name = f"{WORDS[record.space, record.direction].split()[0]} {record.port:x}"
            for name, value in json_row(trace, record, symbols).items():
                if name in ("ns", "device", "direction", "port"):
                    continue
                note = event.debug_annotations.add()
                note.name = name
                if isinstance(value, bool):
                    note.bool_value = value
                elif isinstance(value, int):
                    note.uint_value = value
                else:
                    note.string_value = value
        elif record.level:
            event.type = TrackEvent.TYPE_SLICE_BEGIN
            event.name = "high"
            high.add(record.line)
        elif record.line in high:
            event.type = TrackEvent.TYPE_SLICE_END
            high.discard(record.line)
        else:
            continue  # it was high when the trace began
        builder.write_packet(packet)


def plain_lines(access: TracedAccess) -> Iterator[str]:
    """As --trace-ports writes it: a line for each element, for diff."""
    head = WORDS[access.space, access.direction].format(access.port)
    for at in range(0, len(access.data), access.size):
        value = int.from_bytes(access.data[at : at + access.size], "little")
        yield f"{head} {access.size} {value:0{2 * access.size}x}"
