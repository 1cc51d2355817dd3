# SPDX-License-Identifier: GPL-2.0-or-later
"""Every verb with its options: the machine's and the run's rows from their owners, and the command line's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from hyperport.errors import UsageError
from hyperport.machine.config import SECTIONS as MACHINE_SECTIONS
from hyperport.observe.options import AUDIT, FILTER, PROFILE, PROJECT, SYMBOLS
from hyperport.observe.options import OPTIONS as OBSERVE
from hyperport.options import FILE, FILES, NAMES, Option, one_of, parse_count
from hyperport.ui.options import OPTIONS as UI

STATUS_OF_GUEST: Final = "guest"
STATUSES: Final = ("vmm", STATUS_OF_GUEST)
SHELLS: Final = ("bash", "zsh", "fish")
COMPLETE: Final = "--complete"  # what a shell calls, see completion.py
INSTALL: Final = "--install-completion"


def _factor(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no number: write it like 2 or 0.5") from None


def _mark(text: str) -> Any:
    from hyperport.observe.compare_guest import parse_mark

    return parse_mark(text)


OWN: Final = (
    Option(
        "config",
        "a machine file; the command line is stronger, drives and devices add up",
        FILE,
        metavar="FILE",
        values=FILES,
        see="Machine files",
        of_machine=False,
        in_file=False,
    ),
    Option(
        "exit-status",
        "`vmm`, the default, or `guest`: a guest that exits gives its own value, so its 0 is 0",
        one_of("exit status", STATUSES),
        metavar="WHOSE",
        default=STATUSES[0],
        values=STATUSES,
        of_machine=False,
    ),
    Option("quiet", "say nothing on stderr but what went wrong", short="q", of_machine=False),
    Option("verbose", "say more on stderr: the engine, and why it was taken", short="v", of_machine=False),
)

RUN_SECTIONS: Final[dict[str, tuple[Option, ...]]] = {
    **MACHINE_SECTIONS,
    "screen and keyboard": UI,
    "what is told": OBSERVE,
    "this run": OWN,
}

JSON: Final = Option("json", "print one JSON value instead of the table")
COMPARE: Final = (
    Option(
        "io",
        "the paths, with commas between; by default `trap`, `exit`, `hypercall`, which is VMI's, and `exitless`; also "
        "`exitless-inline`, and `hypercall-NAME` for another ABI. On KVM also `exit-coalesced` and `exit-in-kernel`, "
        "the kernel's own ways",
        NAMES,
        metavar="PATHS",
        default=(),
        values=lambda: _ways(),
        lists=True,
        see="KVM",
    ),
    Option(
        "engine",
        "the engines, with commas between; `auto`, the default, is `unicorn` here: it has every path",
        NAMES,
        metavar="ENGINES",
        default=("auto",),
        values=lambda: ("auto", *_engines()),
        lists=True,
    ),
    Option(
        "repeat",
        "runs of each row, 9 by default, of a guest 5; each round begins with another path",
        parse_count,
        metavar="N",
    ),
    Option("scale", "make every run X times as long; 1 by default", _factor, metavar="X", default=1.0),
    Option(
        "append",
        "more words for the workloads' command line, as `ratio=100` for `mix`; for a guest, its command line",
        metavar="WORDS",
        dashes=True,
    ),
    Option(
        "from",
        "where a guest's measured part begins: `start`, the default, `console:TEXT`, or a filter as `port 80 "
        "value==0x42`",
        _mark,
        metavar="MARK",
        word="begin",
        values=("start", "console:"),
        see="project.md#a-guest-on-every-path",
    ),
    Option(
        "to",
        "where it ends: `end`, the default, or likewise",
        _mark,
        metavar="MARK",
        word="end",
        values=("end", "console:"),
        see="project.md#a-guest-on-every-path",
    ),
    JSON,
)
# What a guest on every path takes of `run`: its machine, but for what a way sets, and the host's ends of lines.
COMPARE_GUEST: Final[dict[str, tuple[Option, ...]]] = {
    title: tuple(
        row
        for row in rows
        if (row.of_machine or row.name == "timeout")
        and not row.engine
        and row.name not in {"abi", "vmi-calls", *(own.name for own in COMPARE)}
    )
    for title, rows in MACHINE_SECTIONS.items()
}


CC: Final = (
    Option("output", "the ELF file to write; by default the first source's name with .elf", FILE, short="o",
           metavar="FILE", values=FILES),
    Option("include", "one more folder that is searched for headers; may be repeated", FILE, short="I",
           metavar="FOLDER", default=(), values=FILES, many=True),
)  # fmt: skip


def _device(text: str) -> Any:
    from hyperport.machine.plugins import parse_device

    return parse_device(text)


TRACE_FORMATS: Final = ("jsonl", "perfetto")
TRACE: Final = (
    FILTER,
    SYMBOLS,
    Option("plain", "`show`: as --trace-ports writes it, for diff"),
    Option(
        "format",
        "`export`: `jsonl`, the default, or `perfetto`, for ui.perfetto.dev",
        one_of("format", TRACE_FORMATS),
        metavar="FORM",
        default=TRACE_FORMATS[0],
        values=TRACE_FORMATS,
    ),
    Option("output", "`export`: the file to write instead of stdout", FILE, short="o", metavar="FILE", values=FILES),
    Option("squeeze", "`diff`: of equal accesses behind each other, as polling makes them, see one"),
    Option(
        "device",
        "`play`: give the trace to a device in Python, instead of the chips of a machine",
        _device,
        metavar="FILE.py:Class,base=PORT[,key=value]",
        values=FILES,
    ),
)

FROM: Final = Option(
    "from",
    "a folder with the Debian packages (.deb, i386) instead of the archive, for hosts without apt",
    FILE,
    metavar="FOLDER",
    word="folder",
    values=FILES,
)


class Verb:
    """A verb. where: "module:function", imported when it is called with the words and each option by its word.

    words: the metavar of what comes without dashes, at least and at most how many; values: what they may be, for
    completion. says: paragraphs of the help; examples: command lines of it. fills: the call gets every option, with its
    default where it was not given.
    """

    def __init__(
        self,
        where: str,
        summary: str,
        *,
        sections: dict[str, tuple[Option, ...]],
        examples: tuple[str, ...],
        words: str = "",
        least: int = 0,
        most: int | None = None,
        values: Callable[[], Iterable[str]] = tuple,
        says: str = "",
        fills: bool = True,
    ) -> None:
        self.where, self.summary, self.sections, self.examples = where, summary, sections, examples
        self.words, self.least, self.values, self.says = words, least, values, says
        self.fills = fills
        self.most = most if most is not None else 1 if words else 0

    def rows(self) -> tuple[Option, ...]:
        """All its options."""
        return tuple(row for rows in self.sections.values() for row in rows)


def _guests() -> Iterable[str]:
    from hyperport.guests.registry import GUESTS

    return GUESTS


def _engines() -> Iterable[str]:
    from hyperport.engines import ENGINES

    return ENGINES


def _fetchable() -> Iterable[str]:
    from hyperport.guests.registry import BESIDE_GUESTS, GUESTS

    return [guest.name for guest in (*GUESTS.values(), *BESIDE_GUESTS.values()) if guest.recipe is not None]


def _ways() -> Iterable[str]:
    from hyperport.observe.compare import known_ways

    return known_ways()


def _workloads() -> Iterable[str]:
    from hyperport.guests.registry import GUESTS

    return [guest.name for guest in GUESTS.values() if "workload:" in guest.description]


def _compared() -> Iterable[str]:
    return dict.fromkeys([*_workloads(), *_guests()])


MANY: Final = 1 << 16

VERBS: Final[dict[str, Verb]] = {
    "run": Verb(
        "hyperport.cli.run:run",
        "run a guest or an image",
        words="[GUEST]",
        values=_guests,
        sections=RUN_SECTIONS,
        fills=False,
        says="GUEST is a name that `hyperport list guests` shows, or a file: a floppy, a CD-ROM, a hard disk or a "
        "kernel, which is told by its content; or give --kernel. Its first serial line is the console; --display term "
        "shows the screen.\n\n"
        "The exit status tells how the run ended: odd if the guest chose it, 0 for a reset, a power-off or Ctrl-a x, "
        "80 for a triple fault, 82 for a panic, 84 if it halted for ever, 124 for a timeout.",
        examples=(
            "hyperport run demo --report",
            "hyperport run debian --mem 64 --timeout 60 --stats run.json",
            "hyperport run dos.img --display term",
            "hyperport run install.iso --disk disk.qcow2 --boot cd",
            "hyperport run -k vmlinuz -i initrd.img --append 'console=ttyS0' --disk disk.img,snapshot",
        ),
    ),
    "compare": Verb(
        "hyperport.cli.compare:compare",
        "the same workload, or a guest of your own, on every path, side by side",
        words="[WORKLOAD...|GUEST]",
        most=MANY,
        values=_compared,
        sections={"options": COMPARE, **COMPARE_GUEST, "places": (SYMBOLS,)},
        fills=False,
        says="What a port access costs on each path, and that the guest reads the same. Without names all workloads "
        "are run. Every row is the median of several runs. The exit status is 0 only if all paths gave the guest the "
        "same values.\n\n"
        "A guest, by name or by --kernel, is run from --from to --to: time, CPU time and crossings on each path. For "
        "one that makes no calls, what calls would save is projected.",
        examples=(
            "hyperport compare",
            "hyperport compare cmos pci --io trap,hypercall --repeat 11",
            "hyperport compare debian --to 'console:Please press Enter' --repeat 7",
            "hyperport compare -k driver.elf --from 'port 80 value==1' --to 'port 80 value==2'",
        ),
    ),
    "profile": Verb(
        "hyperport.cli.profile:profile",
        "run a guest, and say which port costs most and who calls it",
        words="[GUEST]",
        values=_guests,
        sections={"the report": PROFILE, **RUN_SECTIONS},
        fills=False,
        says="Takes whatever `run` takes. At the end it tells of every access by port, register, device and call site, "
        "with counts that are exact and times that are sampled. Where stderr is a terminal and the guest's console is "
        "not on it, the busiest ports are shown while it runs. The exit status is that of `run`.",
        examples=(
            "hyperport profile demo",
            "hyperport profile debian --html debian.html --symbols kallsyms",
            "hyperport profile -k driver.elf --filter 'device ide' --json > driver.json",
        ),
    ),
    "trace": Verb(
        "hyperport.cli.trace:trace",
        "show, export, compare or play a recorded trace",
        words="show|export|diff|play FILE...",
        least=2,
        most=3,
        values=lambda: ("show", "export", "diff", "play"),
        sections={"options": TRACE},
        says="A trace is what `hyperport run --trace FILE` has recorded; `-` reads one from stdin. `show` writes a "
        "line for each access, `export` other forms. `diff` names the first access in which two traces differ, with "
        "status 1. `play` makes the accesses again, without a guest, and compares what is read, with status 1 for a "
        "difference.",
        examples=(
            "hyperport trace show boot.hpt --filter 'device uart16550 write'",
            "hyperport trace export boot.hpt --format perfetto -o boot.pftrace",
            "hyperport trace diff good.hpt bad.hpt --squeeze",
            "hyperport trace play uart.hpt --device uart.py:Uart,base=0x3f8",
        ),
    ),
    "project": Verb(
        "hyperport.cli.project:project",
        "what a run's port accesses would take on another host",
        words="[RUN]",
        values=_guests,
        sections={"the projection": PROJECT, **RUN_SECTIONS},
        fills=False,
        says="Exact counts of a run times the published costs of a host, with their sources and range. RUN is a file "
        "that `run --stats`, `run --trace` or `profile --json` has written, or a guest, which is run as by `profile`, "
        "with its options and exit status.",
        examples=(
            "hyperport project boot.json --host snp --host 2007",
            "hyperport project demo --host tdx,exit=4000,call=3800 --json",
        ),
    ),
    "audit": Verb(
        "hyperport.cli.audit:audit",
        "which ports a guest needs, and for whom: an allow-list",
        words="[RUN...]",
        most=MANY,
        values=_guests,
        sections={"the list": AUDIT, **RUN_SECTIONS},
        fills=False,
        says="Every port that a run has accessed, with directions, sizes, device and the guest's functions, as an "
        "allow-list file. RUN is as for `project`; several files are added up.",
        examples=(
            "hyperport audit boot.json disk.json -o allowed.txt",
            "hyperport audit debian --symbols kallsyms --timeout 60 --against tdx",
        ),
    ),
    "list": Verb(
        "hyperport.cli.list:list_",
        "guests, devices, engines or abis",
        words="guests|devices|engines|abis",
        least=1,
        values=lambda: ("guests", "devices", "engines", "abis"),
        sections={"options": (JSON,)},
        says="The known guests, the devices of a machine with their ports, the engines and whether they work "
        "here, or the conventions for hypercalls.",
        examples=("hyperport list guests", "hyperport list engines --json"),
    ),
    "cc": Verb(
        "hyperport.cli.cc:cc",
        "build a guest program with the SDK",
        words="SOURCE...",
        least=1,
        most=MANY,
        sections={"options": CC},
        says="C and assembly are compiled for the guest and linked with the guest library and the SDK's drivers "
        "(guest/include/hyperport). A program begins at `int main(const char *command_line)`, and what it returns is "
        "its exit value. The compiler is gcc, or what GUEST_CC names.",
        examples=("hyperport cc blink.c", "hyperport cc main.c driver.S -o driver.elf && hyperport run -k driver.elf"),
    ),
    "fetch": Verb(
        "hyperport.cli.fetch:fetch",
        "bring a known guest into the cache",
        words="NAME...",
        least=1,
        most=MANY,
        values=_fetchable,
        sections={"options": (FROM,)},
        says="From the Debian archive, with the host's apt-get; no root is needed, and the system's apt does not "
        "change. With --from nothing is downloaded. A guest that is there in its newest version is left as it is.",
        examples=("hyperport fetch debian", "hyperport fetch debian-pae memtest"),
    ),
    "doctor": Verb(
        "hyperport.cli.doctor:doctor",
        "what works on this host, and why not",
        sections={"options": (JSON,)},
        says="The exit status is 0 if guests can be run.",
        examples=("hyperport doctor",),
    ),
    "completion": Verb(
        "hyperport.cli.completion:completion",
        "a script that makes the shell complete all of this",
        words="bash|zsh|fish",
        least=1,
        values=lambda: SHELLS,
        sections={"options": (Option("install", "write it where the shell finds it, instead of on stdout"),)},
        says="It completes verbs, options, guests, paths, engines, ABIs, devices and files.",
        examples=('eval "$(hyperport completion bash)"', "hyperport completion fish --install"),
    ),
}
