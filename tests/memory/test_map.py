# SPDX-License-Identifier: GPL-2.0-or-later
"""The map of memory against a model of it, byte by page; and what it refuses, in one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.errors import AccessError, ConfigError
from hyperport.memory.dma import DmaView
from hyperport.memory.ram import GuestMemory

MIB = 1 << 20
PAGE = 4096
KINDS = ("ram", "rom", "hole", "device", "alias", "rom_in_ram")
PLACES = st.sampled_from(
    [0, 0x9F000, 0xA0000, 0xB7000, 0xB8000, 0xF0000, MIB, 2 * MIB - PAGE, 2 * MIB, 0xFFFFE000, 0xFFFFF000]
)
MAKING = st.tuples(st.sampled_from(KINDS), PLACES, st.integers(1, 4))
SWITCHING = st.tuples(st.sampled_from(["map", "unmap"]), st.integers(0, 7), PLACES)


def make(memory: GuestMemory, kind: str, base: int, size: int) -> Any:
    regions = memory.map
    if kind == "device":
        return regions.device("device", base, size, 0)
    if kind == "alias":
        return regions.alias("alias", base, size, None, 0x8000)
    return getattr(regions, kind)(kind, base, size)


@given(st.lists(MAKING | SWITCHING, max_size=12))
def test_the_flat_map_is_the_regions_over_the_ground(steps: list[tuple[Any, Any, Any]]) -> None:
    memory = GuestMemory(2 * MIB)
    made: list[Any] = []
    model: dict[int, tuple[int, int, str]] = {}  # by region: first page, pages, kind
    for word, second, third in steps:
        taken = {
            page
            for region, (first, pages, _) in model.items()
            for page in range(first, first + pages)
            if made[region].mapped
        }
        if word in KINDS:
            wanted = set(range(second // PAGE, second // PAGE + third))
            ground = all(page < 0xA0 or 0xB8 <= page < 512 for page in wanted)
            fits = not wanted & taken and max(wanted) < 1 << 20 and (word != "rom_in_ram" or ground)
            if not fits:
                with pytest.raises(ConfigError):
                    make(memory, word, second, third * PAGE)
                continue
            made.append(make(memory, word, second, third * PAGE))
            kind = {"rom_in_ram": "rom", "alias": "ram"}.get(word, word)
            model[len(made) - 1] = (second // PAGE, third, kind)
        elif second < len(made):
            if word == "unmap":
                made[second].unmap()
                continue
            first, pages, kind = model[second]
            own = set(range(first, first + pages)) if made[second].mapped else set()
            if set(range(third // PAGE, third // PAGE + pages)) & (taken - own) or third // PAGE + pages > 1 << 20:
                with pytest.raises(ConfigError):
                    made[second].map(third)
            else:
                made[second].map(third)
                model[second] = (third // PAGE, pages, kind)
    expected: dict[int, str | None] = {}
    for region, (first, pages, kind) in model.items():
        if made[region].mapped:
            expected |= dict.fromkeys(range(first, first + pages), None if kind == "hole" else kind)
    for page in sorted({*range(0x98, 0x102), *range(508, 516), 0, 1, 2, 3, 4, *range(0xFFFFC, 0x100000), *expected}):
        ground_kind = "ram" if page < 0xA0 or 0xB8 <= page < 512 else None
        assert memory.map.at(page * PAGE) == memory.map.at(page * PAGE + PAGE - 1) == expected.get(page, ground_kind)


@pytest.mark.parametrize(
    ("base", "size", "says"),
    [
        (0xD0800, PAGE, "multiples of 4 KiB"),
        (0xD0000, 100, "multiples of 4 KiB"),
        (0xFFFFF000, 2 * PAGE, "within 4 GiB"),
        (0xD1000, PAGE, r"new: memory 0xd1000 to 0xd1fff overlaps old at 0xd0000 to 0xd1fff; give another address"),
    ],
)
def test_what_is_refused(base: int, size: int, says: str) -> None:
    memory = GuestMemory(2 * MIB)
    memory.map.ram("old", 0xD0000, 2 * PAGE)
    with pytest.raises(ConfigError, match=says):
        memory.map.ram("new", base, size)


def test_regions_are_bounded() -> None:
    memory = GuestMemory(2 * MIB)
    for number in range(64):
        memory.map.hole("hole", MIB + number * PAGE, PAGE)
    with pytest.raises(ConfigError, match="more than 64 regions"):
        memory.map.hole("hole", 0, PAGE)


def test_memory_of_its_own_tells_its_pages_and_forgets() -> None:
    memory = GuestMemory(2 * MIB)
    bios = memory.map.rom("bios", 0xFFFFC000, 4 * PAGE)
    alias = memory.map.alias("alias", 0xF0000, 2 * PAGE, bios)
    shadow = memory.map.rom_in_ram("shadow", 0xE0000, PAGE)
    bios.write(PAGE + 4, b"bios")
    bios.write(4 * PAGE - 1, b"!")
    assert bios.pages() == [(1, 1), (3, 1)]
    assert [region.own for region in (bios, alias, shadow)] == [True, False, False]
    assert alias.pages() == shadow.pages() == []
    bios.clear()
    assert bios.pages() == []
    with pytest.raises(AccessError, match="no memory of its own"):
        shadow.clear()


def test_all_places_change_at_once_or_not_at_all() -> None:
    memory = GuestMemory(2 * MIB)
    first, second = (memory.map.ram(name, base, PAGE) for name, base in (("first", 0xD0000), ("second", 0xD1000)))
    generation = memory.map.generation
    memory.map.place([(first, 0xD1000, True), (second, 0xD0000, True)])
    assert (first.base, second.base, memory.map.generation) == (0xD1000, 0xD0000, generation + 1)
    for wrong in (
        [(first, 0xD0000, True)],
        [(first, 0xD0000, True), (first, 0xD1000, True)],
        [(first, 0xD0000, True), (second, 0xD0000, True)],
        [(first, 0xD0001, True), (second, 0xD0000, True)],
        [(first, 0xFFFFFFFF000 * PAGE, False), (second, 0xD0000, True)],
    ):
        with pytest.raises(ConfigError):
            memory.map.place(wrong)
    assert (first.base, second.base, memory.map.generation) == (0xD1000, 0xD0000, generation + 1)
    memory.map.place([(first, 0xD0000, True), (second, 0xD0000, False)])
    assert (first.mapped, second.mapped, memory.map.layout()[2]) == (True, False, (0xD0000, 0xD0FFF, "ram", "first"))


def test_dma_goes_through_the_map() -> None:
    memory = GuestMemory(2 * MIB)
    view = DmaView(memory)
    own = memory.map.ram("own", 2 * MIB, PAGE)
    memory.map.alias("alias", 2 * MIB + PAGE, PAGE, own)
    memory.map.rom("rom", 2 * MIB + 2 * PAGE, PAGE).write(0, b"rom")
    memory.map.device("device", 2 * MIB + 3 * PAGE, PAGE, 0)
    view.write(2 * MIB - 2, b"abcd")  # from RAM into a region
    assert memory.read(2 * MIB - 2, 2) + own.read(0, 2) == b"abcd" == view.read(2 * MIB - 2, 4)
    view.write(2 * MIB + 2 * PAGE - 1, b"xyz")  # the alias takes its byte, the ROM none
    assert own.read(PAGE - 1, 1) == b"x"
    assert view.read(2 * MIB + 2 * PAGE, 3) == b"rom"
    for address in (2 * MIB + 3 * PAGE, 2 * MIB + 3 * PAGE - 1, 0xFFFFFFFF):
        with pytest.raises(AccessError):
            view.write(address, b"??")
