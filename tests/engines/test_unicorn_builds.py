# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds of Unicorn that would run, but wrong, are refused with a line before the first guest."""

from __future__ import annotations

from pathlib import Path

from tests.engines.other_builds import Image, verdict

FETCH = "cpu_ldub_code_x86_64"


def test_the_build_that_is_installed(tmp_path: Path) -> None:
    assert verdict(Image(), tmp_path) == "taken\n"


def test_a_build_that_reads_all_code_at_one_place(tmp_path: Path) -> None:
    image = Image()
    assert image.with_one_caller(FETCH) > 100
    said = verdict(image, tmp_path)
    assert said.startswith("refused: libunicorn reads opcodes and operands at one place")
    assert said.endswith("pip install unicorn==2.1.4\n")
    assert said.count("\n") == 1


def test_a_build_whose_other_calls_come_from_one_place_is_none_of_our_business(tmp_path: Path) -> None:
    image = Image()
    assert image.with_one_caller("tcg_temp_new_internal_x86_64") > 100
    assert verdict(image, tmp_path) == "taken\n"


def test_a_build_without_import_slots(tmp_path: Path) -> None:
    image = Image()
    image.without_import_slots()
    said = verdict(image, tmp_path)
    assert said.startswith("refused: libunicorn")
    assert said.endswith("pip install unicorn==2.1.4\n")
    assert said.count("\n") == 1
