# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest programs from source: what the SDK gives, and what is said when it does not work."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperport import GuestExit, Machine
from hyperport.errors import ImageError
from hyperport.guests import toolchain
from hyperport.guests.toolchain import link_program, sdk_folder

LIMIT_S = 60


def linked(directory: Path, text: str, name: str = "program.c") -> Path:
    source = directory / name
    source.write_text(text)
    return link_program([source], directory / "program.elf", include=[directory])


def test_c_and_assembly_are_linked_with_the_sdk(tmp_path: Path) -> None:
    (tmp_path / "six.h").write_text("int six(void);\n")
    (tmp_path / "six.S").write_text(".globl six\nsix: mov $6, %eax\n ret\n")
    (tmp_path / "program.c").write_text(
        "#include <hyperport/start.h>\n#include <six.h>\n"
        "int main(const char *line) { return six() + (line[6] == 'x'); }  // \"a.elf x\"\n"
    )
    kernel = link_program([tmp_path / "program.c", tmp_path / "six.S"], tmp_path / "a.elf", include=[tmp_path])
    with Machine(kernel=kernel, append="x", memory=2 << 20) as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(7)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("int main(const char *line) { return 1 +; }", r"guest program program\.c: gcc failed: .*expected expression"),
        ("int missing(void); int main(const char *l) { return *l + missing(); }", "undefined reference to .missing"),
    ],
)
def test_what_the_compiler_says_is_told(tmp_path: Path, text: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUEST_CC", raising=False)
    with pytest.raises(ImageError, match=says) as caught:
        linked(tmp_path, text)
    assert "program.c" in caught.value.__notes__[0]


def test_without_a_compiler_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUEST_CC", "no-such-compiler")
    with pytest.raises(
        ImageError, match="no-such-compiler: No such file or directory: install gcc or name one in GUEST_CC"
    ):
        linked(tmp_path, "")


def test_without_the_sdk_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "IN_TREE", tmp_path)
    monkeypatch.setattr(toolchain, "PACKAGED", tmp_path / "none")
    with pytest.raises(ImageError, match=f"the SDK is not in {tmp_path}"):
        linked(tmp_path, "")


def test_a_packaged_sdk_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "PACKAGED", tmp_path)
    assert sdk_folder() == tmp_path
