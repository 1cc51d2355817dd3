# SPDX-License-Identifier: GPL-2.0-or-later
"""The section "map" of a saved machine's record: where each region of memory is, and what the guest can find in it.

A row for each region by name: kind and size, by which the machine's like is known; base and mapped, which the guest may
have changed; pages, the runs of pages of memory of its own that are not all zeros, whose contents are a stream. So no
device that moves its window, and no ROM, has to save that itself.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from hyperport.errors import ConfigError, StateError
from hyperport.machine.sections import fields, numbered, run_list, same_names
from hyperport.machine.state_file import Run, Stream
from hyperport.memory.map import MemoryMap, Region
from hyperport.memory.ram import PAGE

Place = tuple[Region, int, bool]  # base, mapped
FIELDS: Final = {"kind", "size", "base", "mapped", "pages"}


def named_regions(regions: MemoryMap) -> dict[str, Region]:
    """The regions by the names that the record has for them."""
    return numbered((region.name, region) for region in regions.regions())


def save_map(regions: MemoryMap) -> tuple[dict[str, Any], list[Stream]]:
    """The section and its streams."""
    rows, streams = {}, []
    for name, region in named_regions(regions).items():
        pages = region.pages()
        rows[name] = {
            "kind": region.kind,
            "size": region.size,
            "base": region.base,
            "mapped": region.mapped,
            "pages": [list(run) for run in pages],
        }
        streams += [Stream(name, PAGE, pages, partial(_read_pages, region))] if pages else []
    return rows, streams


def _read_pages(region: Region, page: int, count: int) -> bytes:
    return region.read(page * PAGE, count * PAGE)


def check_map(regions: MemoryMap, rows: Any) -> None:
    """Raise StateError unless this section is of a map with the same regions; change nothing."""
    named = named_regions(regions)
    same_names(named, rows, "regions of memory")
    for name, region in named.items():
        row = fields(rows[name], f"region {name}", FIELDS)
        if row["kind"] != region.kind or type(row["size"]) is not int or row["size"] != region.size:
            raise StateError(
                f"region {name}: the saved machine's is {row['kind']!r:.20} of {row['size']!r:.20} bytes, this one's "
                f"{region.kind!r} of {region.size}"
            )
        if type(row["base"]) is not int or type(row["mapped"]) is not bool:
            raise StateError(f"region {name}: its place in the saved record is none")
        if run_list(row["pages"], f"region {name}", region.size // PAGE) and not region.own:
            raise StateError(f"region {name}: it has no memory of its own, and the saved record has some of it")
    try:
        regions.check_places(saved_places(regions, rows))
    except ConfigError as error:
        raise StateError(f"map: {error}") from None


def saved_places(regions: MemoryMap, rows: dict[str, Any]) -> list[Place]:
    """Where a checked section has each region, for MemoryMap.place()."""
    return [(region, rows[name]["base"], rows[name]["mapped"]) for name, region in named_regions(regions).items()]


def places_now(regions: MemoryMap) -> list[Place]:
    """Where each region is."""
    return [(region, region.base, region.mapped) for region in regions.regions()]


def saved_contents(regions: MemoryMap, rows: dict[str, Any]) -> list[tuple[Region, list[Run]]]:
    """Of a checked section, the regions whose contents it has, and which pages; in the order of the streams."""
    named = named_regions(regions)
    pages = {name: run_list(rows[name]["pages"], name, region.size // PAGE) for name, region in named.items()}
    return [(region, pages[name]) for name, region in named.items() if pages[name]]


def clear_own(regions: MemoryMap) -> None:
    """Zeros in all memory that belongs to a region alone."""
    for region in regions.regions():
        if region.own:
            region.clear()
