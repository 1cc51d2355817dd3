# SPDX-License-Identifier: GPL-2.0-or-later
"""MachineConfig: one machine, as plain values. Its fields are the machine's rows of all options."""

from __future__ import annotations

from dataclasses import field, make_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from hyperport.abi.options import OPTIONS as ABI
from hyperport.boot.options import OPTIONS as BOOT
from hyperport.engines.options import OPTIONS as ENGINE
from hyperport.errors import ConfigError
from hyperport.host.options import OPTIONS as HOST
from hyperport.io.options import OPTIONS as IO
from hyperport.machine.options import OPTIONS as MACHINE
from hyperport.options import Option
from hyperport.time.options import OPTIONS as TIME

SECTIONS: Final[dict[str, tuple[Option, ...]]] = {  # heading of the help -> rows
    "what is loaded": BOOT,
    "machine": (*MACHINE, *TIME),
    "engine and path": (*ENGINE, *IO, *ABI),
    "host": HOST,
}


OWN_OPTIONS: Final = tuple(row for rows in SECTIONS.values() for row in rows if row.engine)  # of one engine each


def config_class(rows: tuple[Option, ...]) -> type[Any]:
    """A frozen dataclass with a keyword for each row of a machine. Values are made by Option.from_python()."""

    def convert(self: Any) -> None:
        for row in rows:
            object.__setattr__(self, row.word, row.from_python(getattr(self, row.word)))

    return make_dataclass(
        "MachineConfig",
        [(row.word, Any, field(default=row.default)) for row in rows],
        namespace={"__post_init__": convert, "__doc__": _doc(rows), "__module__": __name__},
        frozen=True,
        kw_only=True,
        slots=True,
    )


def _doc(rows: tuple[Option, ...]) -> str:
    told = "".join(f"    {row.word}: {row.help.replace('`', '')}\n" for row in rows)
    return f"""One machine. Each field is the option of `hyperport run` of the same meaning, with its default.

    A str is read as on the command line, and a file name may be a Path or a str; a field that may be repeated takes
    one or a sequence. Other values: memory in bytes, flat as (address, mode), modules as (file, arguments), disks as
    DiskSpec, net as NetSpec, devices as DeviceSpec. Raises UsageError for a text that makes no sense.

{told}"""


if TYPE_CHECKING:

    class MachineConfig:
        """As config_class() makes it."""

        __dataclass_fields__: ClassVar[dict[str, Any]]

        def __init__(self, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    MachineConfig = config_class(tuple(row for rows in SECTIONS.values() for row in rows if row.of_machine))


def make_config(fields: dict[str, Any]) -> MachineConfig:
    """A MachineConfig of these fields. Raises ConfigError for one that there is not."""
    known = MachineConfig.__dataclass_fields__
    for name in fields:
        if name not in known:
            raise ConfigError(f"a machine has no setting {name!r}; it has {', '.join(known)}")
    return MachineConfig(**fields)
