# SPDX-License-Identifier: GPL-2.0-or-later
"""What code a guest executes, beside a log of each instruction that qemu writes while it executes them one by one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hyperport
from hyperport.errors import ConfigError, EngineError
from hyperport.guests.toolchain import compiler, link_program
from hyperport.observe.coverage import Coverage, Executions, Lcov
from hyperport.observe.symbols import load_symbols
from hyperport.outcome import GuestExit

GUEST = """
#include "cpu.h"
#include "guest.h"
#include "segments.h"

#define FUNCTION __attribute__((noinline, noclone))

static unsigned memory[64];
static unsigned faults;
static unsigned long resume_at;

FUNCTION static unsigned collatz(unsigned n)
{
    unsigned steps = 0;
    while (n != 1) {
        if (n & 1)
            n = 3 * n + 1;
        else
            n /= 2;
        steps++;
    }
    return steps;
}

FUNCTION static unsigned never(unsigned n)
{
    return n * 3;
}

FUNCTION static unsigned sum(unsigned n)
{
    if (n == 0)
        return 0;
    return memory[n % 64] + sum(n - 1);
}

/* A fault in the middle of a block: what comes behind it is not executed. */
FUNCTION static void divides(unsigned by)
{
    __asm__ volatile("movl $1f, %0\\n\\t"
                     "movl $7, %%eax\\n\\t"
                     "xorl %%edx, %%edx\\n\\t"
                     "divl %1\\n\\t"
                     ".globl behind\\n"
                     "behind:\\n\\t"
                     "movl $5, %%ecx\\n\\t"
                     "addl $6, %%ecx\\n"
                     "1:"
                     : "=m"(resume_at) : "r"(by) : "eax", "ecx", "edx");
}

/* The same by a load, which qemu lets pass. */
FUNCTION static void loads_through_null(void)
{
    __asm__ volatile("movl $1f, %0\\n\\t"
                     "xorl %%eax, %%eax\\n\\t"
                     "movl %%eax, %%fs\\n\\t"
                     "movl $3, %%ecx\\n\\t"
                     "movl %%fs:0, %%eax\\n\\t"
                     ".globl behind_load\\n"
                     "behind_load:\\n\\t"
                     "addl $6, %%ecx\\n"
                     "1:"
                     : "=m"(resume_at) : : "eax", "ecx");
}

static void on_fault(struct frame *frame)
{
    faults++;
    frame->eip = resume_at;
}

int main(const char *command_line)
{
    unsigned found = 0;

    gdt_init();
    interrupt_init();
    interrupt_handle(0, on_fault);
    interrupt_handle(VECTOR_GP, on_fault);
    for (unsigned n = 1; n < 40; n++)
        found += collatz(n);
    memset(memory, 1, sizeof memory);
    found += sum(17);
    divides(DIVISOR);
    if (option_given(command_line, "load"))
        loads_through_null();
    if (found == 12345)
        found = never(found);
    print("found %u faults %u\\n", found, faults);
    return 0;
}
"""
OWN = ("collatz", "never", "sum", "divides", "on_fault", "main")
QEMU = "qemu-system-i386"
BEGUN = re.compile(rb"^Trace 0: \S+ \[[0-9a-f]+/([0-9a-f]+)/", re.M)
NOT_BEGUN = re.compile(rb"^Stopped execution of TB chain before \S+ \[([0-9a-f]+)\]", re.M)


@pytest.fixture(scope="module", params=[0, 3], ids=["faults", "divides"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    folder = tmp_path_factory.mktemp("coverage")
    (folder / "covered.c").write_text(GUEST.replace("DIVISOR", str(request.param)))
    return link_program([folder / "covered.c"], folder / "covered.elf", include=[Path("guest/lib")])


def covered(program: Path, **settings: Any) -> tuple[Lcov, Executions]:
    with hyperport.Machine(kernel=program, engine="unicorn", **settings) as machine:
        coverage = Coverage(machine)
        assert machine.run(timeout=60) == GuestExit(0)
        assert machine.engine.covered()[1] == 0
        return coverage.report(), Executions(machine.engine.covered()[0])


def by_qemu(program: Path, folder: Path) -> Counter[int]:
    """How often each instruction was begun, by its address."""
    if shutil.which(QEMU) is None:
        pytest.skip(f"no {QEMU}")
    log = folder / "qemu.log"
    machine = [
        "-accel",
        "tcg",
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
        "-device",
        "isa-debug-exit,iobase=0xf4",
    ]
    one_by_one = ["-singlestep", "-d", "exec,nochain", "-D", str(log), "-dfilter", "0x100000..0x1fffff"]
    subprocess.run([QEMU, *machine, *one_by_one, "-kernel", str(program)], timeout=120, check=False)
    written = log.read_bytes()
    counts = Counter(int(address, 16) for address in BEGUN.findall(written))
    counts.subtract(int(address, 16) for address in NOT_BEGUN.findall(written))
    return counts


def of(program: Path, name: str) -> range:
    symbols = load_symbols([], program)
    assert symbols is not None
    first, last = symbols.functions(name)[0]
    return range(first, last + 1)


def test_each_instruction_counts_as_on_qemu(program: Path, tmp_path: Path) -> None:
    mine, theirs = covered(program)[1], by_qemu(program, tmp_path)
    for name in OWN:
        for address in of(program, name):
            if address in theirs:
                assert mine.most(address, address + 1) == theirs[address], f"{name} {address:#x}"
    begun = {address for name in OWN for address in of(program, name) if theirs[address]}
    assert len(begun) > 60


def test_lines_are_those_of_the_instructions_that_qemu_executed(program: Path, tmp_path: Path) -> None:
    report, _ = covered(program)
    theirs = by_qemu(program, tmp_path)
    symbols = load_symbols([], program)
    assert symbols is not None
    (path,) = (path for path in report.files if path.endswith("/covered.c"))
    executed = {symbols.place(address) for address, count in theirs.items()}
    assert {line for line, count in report.files[path].lines.items() if count} == {
        line for place, line in executed if place == path and line
    }


def test_what_lies_behind_a_fault_is_not_executed(program: Path) -> None:
    """The two faces of one program, whose DIV faults in one of them, in the middle of a block."""
    report, mine = covered(program, append="load")
    (handled,) = (counts.functions["on_fault"][1] for counts in report.files.values() if "on_fault" in counts.functions)
    behind = of(program, "behind").start
    assert mine.most(behind - 2, behind - 1) == 1  # DIV
    assert mine.most(behind, behind + 1) == mine.most(behind + 5, behind + 6) == 2 - handled
    load = of(program, "behind_load").start
    assert (mine.most(load - 1, load), mine.most(load, load + 1)) == (1, 0)


def test_a_function_that_nobody_calls_is_named_with_0(program: Path, tmp_path: Path) -> None:
    text = covered(program)[0].text()
    assert re.search(r"^FN:\d+,never$", text, re.M)
    assert "\nFNDA:0,never\n" in text
    assert "\nFNDA:39,collatz\n" in text
    assert "\nFNDA:1,sum\n" in text
    records = text.count("\nSF:")
    assert records == text.count("\nend_of_record\n") > 1
    if shutil.which("genhtml"):
        (tmp_path / "guest.info").write_text(text)
        done = subprocess.run(
            ["genhtml", "-q", "--ignore-errors", "source", "-o", tmp_path / "html", tmp_path / "guest.info"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_runs_add_up(program: Path) -> None:
    once, _ = covered(program)
    twice = Lcov()
    twice.add(once)
    twice.add(once)
    for path, counts in once.files.items():
        assert twice.files[path].lines == {line: 2 * count for line, count in counts.lines.items()}
        assert twice.files[path].functions == {name: (at, 2 * n) for name, (at, n) in counts.functions.items()}
    assert once.text() != twice.text()
    assert once.summary() == twice.summary()


def test_the_same_by_trap_by_hypercall_and_on_a_clock_of_instructions(program: Path) -> None:
    expected = covered(program, io="exit")[0]
    for settings in ({"io": "trap"}, {"io": "hypercall"}, {"clock": "insns"}):
        found = covered(program, **settings)[0]
        for name in OWN:
            (at,) = (counts.functions[name] for counts in expected.files.values() if name in counts.functions)
            assert at in [counts.functions.get(name) for counts in found.files.values()], (settings, name)


def test_code_that_was_translated_before_counts_from_now_on(program: Path) -> None:
    """FE: inc eax; jmp to the INC, in a flat guest that runs twice."""
    image = program.parent / "loop.bin"
    image.write_bytes(bytes.fromhex("b90a000000 40 49 75fc f4 b905000000 ebf4".replace(" ", "")))
    with hyperport.Machine(kernel=image, flat=(0x7C00, "protected"), engine="unicorn", memory=4 << 20) as machine:
        machine.run()
        assert machine.engine.covered() == ([], 0)
        machine.engine.cover()
        state = machine.engine.state()
        state.eip, state.halted = 0x7C0A, False
        machine.engine.set_state(state)
        machine.run()
        counted = Executions(machine.engine.covered()[0])
        assert [counted.most(0x7C00 + at, 0x7C01 + at) for at in (0, 5, 6, 7, 9, 10)] == [0, 5, 5, 5, 1, 1]
    assert Executions(machine.engine.covered()[0]).most(0x7C05, 0x7C06) == 5  # a closed machine still tells


def test_a_guest_with_more_code_than_the_table_holds_is_told_of(tmp_path: Path) -> None:
    """A MiB of POP EAX, each of which begins a stretch of its own; then HLT."""
    image = tmp_path / "pops.bin"
    image.write_bytes(bytes.fromhex("bc00003000") + b"\x58" * (1 << 20) + b"\xf4")
    with hyperport.Machine(kernel=image, flat=(0x100000, "protected"), engine="unicorn", memory=16 << 20) as machine:
        machine.engine.cover()
        machine.run(timeout=120)
        stretches, others = machine.engine.covered()
    assert machine.engine.name == "unicorn"
    assert len(stretches) + others == (1 << 20) + 1  # the first POP lies behind a MOV that nothing leaves
    assert 0 < others < 1 << 19


@pytest.mark.parametrize(
    ("stretches", "first", "end", "most"),
    [
        ([], 0, 10, 0),
        ([(10, 20, 3)], 0, 10, 0),
        ([(10, 20, 3)], 0, 11, 3),
        ([(10, 20, 3)], 19, 20, 3),
        ([(10, 20, 3)], 20, 30, 0),
        ([(10, 20, 3), (15, 20, 4)], 10, 15, 3),
        ([(10, 20, 3), (15, 20, 4)], 10, 16, 7),
        ([(0xFFFFFFF0, 0, 2)], 0xFFFFFFFF, 1 << 32, 2),
    ],
)
def test_counts_of_addresses(stretches: list[tuple[int, int, int]], first: int, end: int, most: int) -> None:
    assert Executions(stretches).most(first, end) == most


def test_no_symbols_is_one_line(tmp_path: Path) -> None:
    image = tmp_path / "guest.bin"
    image.write_bytes(b"\xf4")
    with (
        hyperport.Machine(kernel=image, flat=(0x7C00, "real"), engine="unicorn") as machine,
        pytest.raises(ConfigError, match="no ELF file with symbols: name one by --symbols FILE"),
    ):
        Coverage(machine)


def test_functions_without_lines_are_lines_of_the_file_of_symbols(program: Path) -> None:
    symbols = program.parent / "System.map"
    found = load_symbols([], program)
    assert found is not None
    symbols.write_text("".join(f"{first:08x} T {name}\n" for first, _, name in found.rows))
    with hyperport.Machine(kernel=program, engine="unicorn") as machine:
        coverage = Coverage(machine, [symbols])
        machine.run(timeout=60)
        report = coverage.report()
    (counts,) = report.files.values()
    assert set(report.files) == {str(symbols)}
    assert counts.functions["collatz"][1] == 39
    number = counts.functions["collatz"][0]
    assert counts.lines[number] == 39
    assert symbols.read_text().splitlines()[number - 1].endswith(" collatz")


def test_engines_that_cannot_say_so(kvm: None) -> None:
    with (
        hyperport.Machine(kernel=Path("src/hyperport/guests/bin/demo.elf"), engine="kvm") as machine,
        pytest.raises(EngineError, match=r"^kvm: .*use --engine unicorn$"),
    ):
        machine.engine.cover()
