# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from hyperport.errors import ConfigError
from hyperport.guests.registry import locate
from hyperport.guests.toolchain import compiler, link_program
from hyperport.observe.symbols import Symbols, load_symbols

MAP = """\
c0100000 T _text
c0100000 t local_at_the_same_place
c0100020 T outb_one
c0100030 d data
c0100040 W weak
ffffffffc0100050 t beyond
"""


def test_a_map_reaches_from_symbol_to_symbol(tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text(MAP)
    symbols = load_symbols([tmp_path / "System.map"])
    assert symbols is not None
    assert symbols.rows == [
        (0xC010_0000, 0xC010_001F, "_text"),
        (0xC010_0020, 0xC010_002F, "outb_one"),
        (0xC010_0040, 0xC010_103F, "weak"),
    ]
    assert symbols.told(0xC010_0024) == "outb_one+0x4"
    assert [symbols.name(at) for at in (0, 0xC00F_FFFF, 0xC010_0035, 0xC010_2000)] == ["", "", "", ""]
    assert symbols.functions("*t*") == [(0xC010_0000, 0xC010_001F), (0xC010_0020, 0xC010_002F)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither an ELF file nor lines like"),
        (b"hello\n", "neither an ELF file nor lines like"),
        (b"00000000 T a\n00000000 T b\n", "all addresses are 0: copy /proc/kallsyms as root"),
        (b"c0100000 D data\n", "there are none in it"),
        (b"\x7fELF", "its symbols cannot be read"),
        (b"\x7fELF\x01\x01\x01" + bytes(100), "its symbols cannot be read|there are none in it"),
    ],
)
def test_files_that_are_neither(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        load_symbols([tmp_path / "x"])
    assert "\n" not in str(caught.value)


def test_a_kernel_brings_its_own_and_a_raw_image_none(tmp_path: Path) -> None:
    symbols = load_symbols([], locate("demo").kernel)
    assert symbols is not None
    assert symbols.functions("serial_put")
    (tmp_path / "raw").write_bytes(b"\xeb\xfe")
    assert load_symbols([], tmp_path / "raw") is None
    with pytest.raises(ConfigError, match=r"symbols: .*No such file"):
        load_symbols([tmp_path / "none"])


def test_lines_are_those_of_dwarf(tmp_path: Path) -> None:
    source = tmp_path / "lines.c"
    source.write_text("int main(const char *w)\n{\n\t(void)w;\n\treturn 7;\n}\n")
    flags = ["-m32", "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-Wl,-e,main"]
    built = tmp_path / "lines.elf"
    for version in ("-g0", "-gdwarf-4", "-gdwarf-5"):
        subprocess.run(["gcc", version, *flags, "-o", built, "lines.c"], cwd=tmp_path, check=True)
        symbols = load_symbols([built])
        assert symbols is not None
        first, last = symbols.functions("main")[0]
        assert symbols.line(first) == ("" if version == "-g0" else "lines.c:2")
        assert symbols.place(first) == (("", 0) if version == "-g0" else (str(source), 2))
        assert symbols.line(last + 1000) == ""


def test_of_names_at_one_address_a_global_function_is_the_first_and_a_label_the_last(tmp_path: Path) -> None:
    names = {"zeta": ".globl zeta; .type zeta, @function", "alpha": ".type alpha, @function", "beta": ""}
    for kept in (["zeta", "alpha", "beta"], ["alpha", "beta"], ["beta"]):
        lines = [*(names[name] for name in kept), *(f"{name}:" for name in reversed(kept)), "nop"]
        (tmp_path / "names.S").write_text("\n".join(lines) + "\n")
        flags = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x100000,-e,0x100000"]
        subprocess.run(["gcc", *flags, "-o", "names.elf", "names.S"], cwd=tmp_path, check=True)
        symbols = load_symbols([tmp_path / "names.elf"])
        assert symbols is not None
        assert symbols.name(0x100000) == kept[0]


def test_guest_programs_are_linked_with_lines(tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text("int main(const char *w)\n{\n\t(void)w;\n\treturn 7;\n}\n")
    symbols = load_symbols([link_program([source], tmp_path / "program.elf")])
    assert symbols is not None
    assert symbols.head(symbols.functions("main")[0][0]) == (str(source), 2)


def test_of_two_at_one_place_the_first_is_taken() -> None:
    assert Symbols([(0, 9, "b"), (0, 5, "a")]).name(7) == "b"


def refusal(file: Path) -> str:
    """The line; "" if the file is read."""
    try:
        load_symbols([file])
    except ConfigError as error:
        return str(error)
    return ""


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    """Whatever elftools makes of it."""
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    (tmp_path / "program.c").write_text("int main(const char *line) { (void)line; return 0; }\n")
    whole = link_program([tmp_path / "program.c"], tmp_path / "program.elf").read_bytes()
    damaged, ends = tmp_path / "damaged.elf", Counter[str]()
    for number in range(120):
        rng, content = random.Random(f"elf/{number}"), bytearray(whole)
        if number % 3 == 0:
            del content[rng.randrange(len(content)) :]
        else:
            for _ in range(rng.randint(1, 8)):
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        damaged.write_bytes(content)
        told = refusal(damaged)
        ends["refused" if told else "read"] += 1
        assert "\n" not in told
        assert len(told) < 500
    assert min(ends.values()) > 10


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe: a pipe"):
        load_symbols([tmp_path / "pipe"])
