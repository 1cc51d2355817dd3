# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport audit: the allow-list of a run, and reading it back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.cli.main import main
from hyperport.errors import ConfigError
from hyperport.observe.audit import HEAD, Grant, allow_list, known_grants, needs, outside, read_allow_list
from hyperport.observe.saved_run import SavedRun, Use


def run(*uses: Use) -> SavedRun:
    return SavedRun("guest", "unicorn", "exit", uses)


def use(port: int, direction: str = "out", size: int = 1, device: str = "chip", function: str = "f") -> Use:
    return Use(port, direction, size, "exit", device, function, 10, 10)


def grants(*uses: Use) -> list[Grant]:
    return [need.grant for need in needs([run(*uses)])]


def test_neighbours_that_are_used_alike_are_one() -> None:
    assert grants(use(0x20), use(0x21), use(0x22)) == [Grant(0x20, 0x22, ("out",), (1,))]


@pytest.mark.parametrize("other", [use(0x21, "in"), use(0x21, size=2), use(0x21, device="other"), use(0x23)])
def test_nothing_is_granted_that_was_not_done(other: Use) -> None:
    assert len(grants(use(0x20), other)) == 2


def test_directions_of_a_port_share_a_line_if_their_sizes_are_the_same() -> None:
    assert grants(use(0x71), use(0x71, "in")) == [Grant(0x71, 0x71, ("in", "out"), (1,))]
    assert grants(use(0x71), use(0x71, "in", 2)) == [
        Grant(0x71, 0x71, ("in",), (2,)),
        Grant(0x71, 0x71, ("out",), (1,)),
    ]


def test_one_access_is_one_access() -> None:
    one = run(replace(use(0x20), accesses=1))
    assert "1 access: f" in allow_list([one], needs([one]))
    assert ": 1 access\n" in allow_list([one], needs([one]))


def test_functions_are_counted_where_they_are() -> None:
    (one, other) = needs([run(use(0x71, function="w"), use(0x71, "in", 2, function="r"), use(0x71, function="x"))])
    assert (one.accesses, one.functions) == (10, (("r", 10),))
    assert (other.accesses, dict(other.functions)) == (20, {"w": 10, "x": 10})


USES = st.builds(
    use,
    st.integers(0, 0xFFFF),
    st.sampled_from(("in", "out")),
    st.sampled_from((1, 2, 4)),
    st.sampled_from(("a", "b")),
    st.text(max_size=8),
)


@given(st.lists(USES, max_size=40))
def test_what_is_read_back_allows_exactly_what_the_run_did(
    tmp_path_factory: pytest.TempPathFactory, uses: list[Use]
) -> None:
    path = tmp_path_factory.mktemp("audit") / "list"
    whole = run(*uses)
    path.write_text(allow_list([whole], needs([whole])))
    read = read_allow_list(path)
    assert not outside([whole], read)[0].uses
    granted = {
        (port, direction, size)
        for each in read
        for port in range(each.first, each.last + 1)
        for direction in each.directions
        for size in each.sizes
    }
    assert granted == {(each.port, each.direction, each.size) for each in uses}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its first line is not"),
        (f"{HEAD}\n3f8\n", "line 2: 1 words"),
        (f"{HEAD}\n\n10000 in 1\n", "line 3: '10000' are no ports"),
        (f"{HEAD}\n9-3 in 1\n", "line 2: '9-3' are no ports"),
        (f"{HEAD}\n9 up 1\n", "line 2: 'up' and '1' are no directions"),
        (f"{HEAD}\n9 in 3\n", "line 2: 'in' and '3' are no directions"),
        (f"{HEAD}\nzz in 1\n", "line 2: invalid literal"),
    ],
)
def test_a_bad_list_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_allow_list(path)
    assert "\n" not in str(caught.value)


def test_against_intels_list() -> None:
    left = outside([run(use(0x70), use(0x3F8), use(0xCFC), use(0x61))], known_grants("tdx"))
    assert [each.port for each in left[0].uses] == [0x3F8, 0x61]


def test_the_verb(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "demo", "--engine", "unicorn", "--quiet"]
    assert main([*words, "-o", f"{tmp_path}/list"]) == 1
    text = (tmp_path / "list").read_text()
    assert any(line.startswith("03fd") and "serial_put" in line for line in text.splitlines())
    assert main([*words, "--against", f"{tmp_path}/list", "--json"]) == 1
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert told["grants"] == []
    assert told["accesses"] > 500
