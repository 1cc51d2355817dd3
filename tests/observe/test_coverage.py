# SPDX-License-Identifier: GPL-2.0-or-later
"""What code a guest executes, beside a log of each instruction that qemu writes while it executes them one by one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import hyperport
from hyperport.engines import ENGINES
from hyperport.errors import ConfigError, EngineError
from hyperport.guests.toolchain import compiler, link_program
from hyperport.observe.coverage import Coverage, Executions, Lcov
from hyperport.observe.symbols import load_symbols
from hyperport.outcome import GuestExit

GUEST = """
#include "cpu.h"
#include "guest.h"
#include "io.h"

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

static void on_divide(struct interrupt_frame *frame)
{
    faults++;
    frame->eip = resume_at;
}

int main(const char *command_line)
{
    unsigned found = 0;

    (void)command_line;
    set_handler(0, on_divide);
    for (unsigned n = 1; n < 40; n++)
        found += collatz(n);
    memset(memory, 1, sizeof memory);
    found += sum(17);
    divides(DIVISOR);
    if (found == 12345)
        found = never(found);
    print("found %u faults %u\\n", found, faults);
    return 0;
}
"""
OWN = ("collatz", "never", "sum", "divides", "on_divide", "main")
QEMU = "qemu-system-i386"
LOGGED = re.compile(rb"^Trace 0: \S+ \[[0-9a-f]+/([0-9a-f]+)/", re.M)


@pytest.fixture(scope="module", params=[0, 3], ids=["faults", "divides"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    folder = tmp_path_factory.mktemp("coverage")
    (folder / "covered.c").write_text(GUEST.replace("DIVISOR", str(request.param)))
    return link_program([folder / "covered.c"], folder / "covered.elf", include=[Path("guest/lib")])


def covered(program: Path, **settings: object) -> tuple[Lcov, Executions]:
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
    machine = ["-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4"]
    one_by_one = ["-singlestep", "-d", "exec,nochain", "-D", str(log), "-dfilter", "0x100000..0x1fffff"]
    subprocess.run([QEMU, *machine, *one_by_one, "-kernel", str(program)], timeout=120, check=False)
    return Counter(int(address, 16) for address in LOGGED.findall(log.read_bytes()))


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
