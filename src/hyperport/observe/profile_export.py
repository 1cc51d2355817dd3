# SPDX-License-Identifier: GPL-2.0-or-later
"""A profile's stacks for other tools: speedscope's JSON, and pprof's protobuf.

pprof's message is described here as far as it is used (github.com/google/pprof, proto/profile.proto), and written by
the package protobuf.
"""

from __future__ import annotations

import gzip
from typing import Any, Final

import msgspec

from hyperport.errors import ConfigError

Row = dict[str, Any]

SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"
SCALARS: Final = {"int64": 3, "uint64": 4, "string": 9}  # numbers of FieldDescriptorProto.Type
MESSAGE: Final = 11
OPTIONAL: Final = 1  # of FieldDescriptorProto.Label
REPEATED: Final = 3
MESSAGES: Final[dict[str, tuple[tuple[str, int, str, bool], ...]]] = {  # name -> (field, number, type, repeated)
    "ValueType": (("type", 1, "int64", False), ("unit", 2, "int64", False)),
    "Sample": (("location_id", 1, "uint64", True), ("value", 2, "int64", True)),
    "Line": (("function_id", 1, "uint64", False), ("line", 2, "int64", False)),
    "Location": (("id", 1, "uint64", False), ("line", 4, "Line", True)),
    "Function": (
        ("id", 1, "uint64", False),
        ("name", 2, "int64", False),
        ("system_name", 3, "int64", False),
        ("filename", 4, "int64", False),
    ),
    "Profile": (
        ("sample_type", 1, "ValueType", True),
        ("sample", 2, "Sample", True),
        ("location", 4, "Location", True),
        ("function", 5, "Function", True),
        ("string_table", 6, "string", True),
    ),
}


Frame = tuple[str, str, int]  # name, path, line; "" and 0 where that is not known


def stacks_of(report: Row) -> list[tuple[list[Frame], int]]:
    """The stacks of a report, outermost frame first, with their accesses."""
    return [
        ([(name, *_split(place)) for name, place in zip(row["frames"], row["places"], strict=True)], row["accesses"])
        for row in report["stacks"]
    ]


def _split(place: str) -> tuple[str, int]:
    path, _, line = place.rpartition(":")
    return path, int(line) if path else 0


def speedscope(report: Row) -> bytes:
    """The stacks with their accesses, as speedscope opens them."""
    numbers: dict[Frame, int] = {}
    stacks = stacks_of(report)
    samples = [[numbers.setdefault(frame, len(numbers)) for frame in frames] for frames, _ in stacks]
    weights = [accesses for _, accesses in stacks]
    title = f"port accesses of {report['kernel'] or 'the guest'}"
    return msgspec.json.encode(
        {
            "$schema": SCHEMA,
            "exporter": "hyperport",
            "name": title,
            "shared": {
                "frames": [
                    {"name": name} | ({"file": path, "line": line} if line else {}) for name, path, line in numbers
                ]
            },
            "profiles": [
                {
                    "type": "sampled",
                    "name": title,
                    "unit": "none",
                    "startValue": 0,
                    "endValue": sum(weights),
                    "samples": samples,
                    "weights": weights,
                }
            ],
        }
    )


def require_protobuf() -> None:
    """Raise ConfigError, one line, if the package protobuf is missing."""
    try:
        import google.protobuf.message_factory  # noqa: F401
    except ImportError:
        raise ConfigError("pprof's form needs the package protobuf: pip install 'hyperport[pprof]'") from None


def pprof(report: Row) -> bytes:
    """The stacks with their accesses, as `go tool pprof` opens them: compressed protobuf."""
    profile = _profile_class()()
    strings: dict[str, int] = {"": 0}
    locations: dict[Frame, int] = {}
    functions: dict[tuple[str, str], int] = {}  # by name and path
    kind = profile.sample_type.add()
    kind.type = strings.setdefault("accesses", len(strings))
    kind.unit = strings.setdefault("count", len(strings))
    for frames, accesses in stacks_of(report):
        sample = profile.sample.add()
        sample.value.append(accesses)
        sample.location_id.extend(locations.setdefault(frame, len(locations) + 1) for frame in reversed(frames))
    for (name, path, line), number in locations.items():
        location = profile.location.add()
        location.id = number
        made = location.line.add()
        made.function_id = functions.setdefault((name, path), len(functions) + 1)
        made.line = line
    for (name, path), number in functions.items():
        function = profile.function.add()
        function.id = number
        function.name = function.system_name = strings.setdefault(name, len(strings))
        function.filename = strings.setdefault(path, len(strings))
    profile.string_table.extend(strings)
    data: bytes = profile.SerializeToString()
    return gzip.compress(data, mtime=0)


def _profile_class() -> Any:
    """The class of the message Profile, made of MESSAGES."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package="perftools.profiles", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            row = message.field.add(name=field, number=number, label=REPEATED if repeated else OPTIONAL)
            if kind in SCALARS:
                row.type = SCALARS[kind]
            else:
                row.type = MESSAGE
                row.type_name = f".perftools.profiles.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("perftools.profiles.Profile"))
