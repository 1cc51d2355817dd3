# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport run --guest-cov."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperport.cli.main import main


def test_guest_coverage_is_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "demo.info"
    assert main(["run", "demo", "--engine", "unicorn", "--quiet", f"--guest-cov={file}"]) == 1
    text = file.read_text()
    assert text.startswith("TN:\nSF:")
    assert "\nFNDA:1,main\n" in text
    capfd.readouterr()


def test_guest_coverage_without_symbols_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "guest.bin"
    image.write_bytes(b"\xf4")
    assert main(["run", "--kernel", str(image), "--flat", "0x7c00,real", "--guest-cov", str(tmp_path / "x")]) == 78
    assert capfd.readouterr().err.splitlines() == [
        "hyperport: guest coverage: the guest is no ELF file with symbols: name one by --symbols FILE"
    ]
    assert not (tmp_path / "x").exists()
