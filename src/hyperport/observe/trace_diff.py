# SPDX-License-Identifier: GPL-2.0-or-later
"""Two traces side by side, and the first difference between them.

Compared is what devices see: direction, port, size and data, element by element, since engines cut strings differently.
Times, paths and places may differ. Behind the first difference the two are aligned again, where they can be: so it is
told what one has more, and how far they then agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import Final

from hyperport.observe.trace_decode import TracedAccess

BEFORE: Final = 3  # elements shown before the first difference
WINDOW: Final = 2000  # elements of either trace in which they are aligned again
SAME: Final = 4  # elements that must agree to count as aligned

Key = tuple[int, int, int, int, int]  # space, direction, port, size, value


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an access of a trace."""

    access: TracedAccess
    value: int

    @property
    def key(self) -> Key:
        """What is compared."""
        return (self.access.space, self.access.direction, self.access.port, self.access.size, self.value)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two traces part. equal: elements before; before: the last of them.

    left, right: what one has and the other has not, up to where they agree again; at an end, or where they do not meet
    within WINDOW elements, all that was looked at. agree: elements that are equal behind, as far as was looked; 0: they
    do not meet.
    """

    equal: int
    before: tuple[Element, ...]
    left: tuple[Element, ...]
    right: tuple[Element, ...]
    agree: int


def elements(accesses: Iterator[TracedAccess], squeeze: bool = False) -> Iterator[Element]:
    """Every element. squeeze: of equal elements behind each other, as a polling loop makes them, the first alone."""
    last: Key | None = None
    for access in accesses:
        size, data = access.size, access.data
        for at in range(0, len(data), size):
            element = Element(access, int.from_bytes(data[at : at + size], "little"))
            if squeeze and element.key == last:
                continue
            last = element.key
            yield element


def first_difference(left: Iterator[Element], right: Iterator[Element]) -> Difference | int:
    """The Difference, or how many elements both have if there is none."""
    before: deque[Element] = deque(maxlen=BEFORE)
    equal = 0
    while True:
        one, other = next(left, None), next(right, None)
        if one is None and other is None:
            return equal
        if one is None or other is None or one.key != other.key:
            break
        before.append(one)
        equal += 1
    lefts = [*([] if one is None else [one]), *islice(left, WINDOW)]
    rights = [*([] if other is None else [other]), *islice(right, WINDOW)]
    matcher = SequenceMatcher(None, [each.key for each in lefts], [each.key for each in rights], autojunk=False)
    met = next((block for block in matcher.get_matching_blocks() if block.size >= SAME), None)
    if met is None:
        return Difference(equal, tuple(before), tuple(lefts), tuple(rights), 0)
    return Difference(equal, tuple(before), tuple(lefts[: met.a]), tuple(rights[: met.b]), met.size)
