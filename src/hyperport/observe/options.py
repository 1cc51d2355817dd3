# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of what is told about a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hyperport.options import FILE, FILES, SECONDS, Kind, Option, parse_count


def _trace(text: str) -> Any:
    from hyperport.observe.trace import parse_trace

    return parse_trace(text)


def _filter(text: str) -> str:
    from hyperport.observe.filter import parse

    parse(text)  # names are looked up when there is a machine
    return text


def _host(text: str) -> Any:
    from hyperport.observe.hosts import parse_host

    return parse_host(text)


def _hosts() -> Iterable[str]:
    from hyperport.observe.hosts import HOSTS

    return HOSTS


FILTER: Final = Option(
    "filter",
    "only the accesses that TEXT means, as `port 3f8-3ff write value==0x41`",
    _filter,
    metavar="TEXT",
    see="trace.md#filters",
    of_machine=False,
)
SYMBOLS: Final = Option(
    "symbols",
    "the guest's functions: an ELF file, a System.map or a copy of /proc/kallsyms; may be repeated",
    FILE,
    metavar="FILE",
    many=True,
    values=FILES,
    see="trace.md#symbols",
    of_machine=False,
)

OPTIONS: Final = (
    Option(
        "stats", "write statistics as JSON", FILE, metavar="FILE", values=FILES, see="statistics.md", of_machine=False
    ),
    Option("report", "print the port-access table on stderr at the end", of_machine=False),
    Option(
        "trace",
        "record every port access, with time and place, into FILE, or the last of them as they fit into SIZE",
        Kind(_trace, take=lambda given: given),
        metavar="FILE[,ring=SIZE][,time=N]",
        values=FILES,
        then=("ring=", "time="),
        see="trace.md",
        of_machine=False,
    ),
    Option(
        "trace-ports",
        "write every port access as text on stderr or into FILE",
        metavar="FILE",
        alone="-",
        values=FILES,
        see="trace.md#text",
        of_machine=False,
    ),
    FILTER,
    SYMBOLS,
    Option(
        "guest-cov",
        "count what code the guest executes, by line and function, into FILE for lcov; unicorn only",
        FILE,
        metavar="FILE",
        values=FILES,
        see="testing.md#guest-coverage",
        of_machine=False,
    ),
)

PROFILE: Final = (
    Option("json", "print the report as one JSON object; the guest's console is dropped then, but for --serial"),
    Option("html", "write it as one page for a browser, which needs no other file", FILE, metavar="FILE", values=FILES),
    Option(
        "speedscope",
        "write the stacks for https://www.speedscope.app",
        FILE,
        metavar="FILE",
        values=FILES,
        see="profile.md#other-tools",
    ),
    Option("pprof", "write the stacks for pprof", FILE, metavar="FILE", values=FILES, see="profile.md#other-tools"),
    Option("top", "rows of each table, 20 by default", parse_count, metavar="N", default=20),
)

PROJECT: Final = (
    Option(
        "host",
        "a host, by name: `vmx`, `svm`, `snp`, `tdx`, `2007`; may be repeated, by default all that have figures. "
        "Figures of your own come behind it",
        _host,
        metavar="NAME[,WAY=NS]",
        word="hosts",
        many=True,
        values=_hosts,
        see="project.md#projecting-to-another-host",
    ),
    Option(
        "guest-time",
        "what the guest's own code takes on that host; by default the CPU time of the run",
        SECONDS,
        metavar="SECONDS",
    ),
    Option("json", "print one JSON object instead of the text"),
)

AUDIT: Final = (
    Option("output", "write the list to FILE instead of stdout", FILE, short="o", metavar="FILE", values=FILES),
    Option(
        "against",
        "only what another list does not allow: a FILE, or `tdx` for the ports that Intel's kernel for TDX guests lets "
        "through",
        metavar="LIST",
        values=FILES,
        see="project.md#allow-lists",
    ),
    Option("json", "print one JSON object instead of the list"),
)
