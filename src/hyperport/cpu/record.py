# SPDX-License-Identifier: GPL-2.0-or-later
"""A CpuState as a record of plain values, and back: the part of a saved machine that its vCPU is.

What no vCPU can be in is refused: reserved bits, paging without protection, an event for a vCPU that halts. So no
engine is ever given a state that its core was not made for.
"""

from __future__ import annotations

from typing import Any, Final

from hyperport.cpu.state import CR0_PE, SEGMENTS, CpuState, Event, FpuState, Segment, Table
from hyperport.errors import StateError

WORD: Final = 0xFFFF
DWORD: Final = 0xFFFFFFFF
QWORD: Final = (1 << 64) - 1
CR0_BITS: Final = 0xE005003F  # PE MP EM TS ET NE, WP AM, NW CD PG
CR0_NW, CR0_CD, CR0_PG = 1 << 29, 1 << 30, 1 << 31
CR4_BITS: Final = 0x7BC  # TSD DE PSE PAE, PGE PCE, OSFXSR OSXMMEXCPT
EFER_BITS: Final = 1 << 11  # NXE
EFLAGS_BITS: Final = 0x3F7FD7
EFLAGS_VM: Final = 1 << 17
ATTRIBUTES: Final = 0xF0FF00  # bits 8 to 23 of a descriptor, without the limit's

NUMBERS: Final = {  # field -> bits that it can have
    **dict.fromkeys(("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip"), DWORD),
    "eflags": EFLAGS_BITS,
    "cr0": CR0_BITS,
    **dict.fromkeys(("cr2", "cr3"), DWORD),
    "cr4": CR4_BITS,
    "efer": EFER_BITS,
    **dict.fromkeys(("sysenter_cs", "sysenter_esp", "sysenter_eip"), DWORD),
    **dict.fromkeys(("dr0", "dr1", "dr2", "dr3"), DWORD),
    "dr6": 0xFFFFEFFF,
    "dr7": 0xFFFF27FF,
    "pat": 0x0707070707070707,
    "tsc": QWORD,
    "tsc_adjust": QWORD,
}
FLAGS: Final = ("halted", "interrupt_shadow", "begun")
FPU_NUMBERS: Final = {
    "control": WORD,
    "status": WORD,
    "in_use": 0xFF,
    "mxcsr": WORD,
    "opcode": WORD,
    "code_at": QWORD,
    "data_at": QWORD,
}
REGISTERS_OF_8: Final = {"stack": 10, "xmm": 16}  # field -> bytes of each
SEGMENT_FIELDS: Final = {"selector": WORD, "base": DWORD, "limit": DWORD, "attributes": ATTRIBUTES}
TABLE_FIELDS: Final = {"base": DWORD, "limit": WORD}
ALL_SEGMENTS: Final = (*SEGMENTS, "ldtr", "tr")
TABLES: Final = ("gdtr", "idtr")
LEGAL_PAT: Final = (0, 1, 4, 5, 6, 7)


def cpu_record(state: CpuState) -> dict[str, Any]:
    """The record of a state."""
    fpu = state.fpu
    return {
        **{name: getattr(state, name) for name in NUMBERS},
        **{name: int(getattr(state, name)) for name in FLAGS},
        **{name: {part: getattr(getattr(state, name), part) for part in SEGMENT_FIELDS} for name in ALL_SEGMENTS},
        **{name: {part: getattr(getattr(state, name), part) for part in TABLE_FIELDS} for name in TABLES},
        "fpu": {
            **{name: getattr(fpu, name) for name in FPU_NUMBERS},
            **{name: [bytes(value) for value in getattr(fpu, name)] for name in REGISTERS_OF_8},
            "told": int(fpu.told),
        },
        "event": None
        if state.event is None
        else {
            "vector": state.event.vector,
            "interrupt": int(state.event.interrupt),
            "error": state.event.error,
        },
    }


def cpu_state(record: Any) -> CpuState:
    """The state of a record. Raises StateError for one that no vCPU can be in."""
    expected = {*NUMBERS, *FLAGS, *ALL_SEGMENTS, *TABLES, "fpu", "event"}
    _has(record, expected, "cpu")
    found: dict[str, Any] = {name: _number(record, name, bits, "cpu") for name, bits in NUMBERS.items()}
    found |= {name: bool(_number(record, name, 1, "cpu")) for name in FLAGS}
    found |= {name: Segment(**_numbers(record[name], SEGMENT_FIELDS, name)) for name in ALL_SEGMENTS}
    found |= {name: Table(**_numbers(record[name], TABLE_FIELDS, name)) for name in TABLES}
    state = CpuState(**found, fpu=_fpu(record["fpu"]), event=_event(record["event"]))
    _possible(state)
    return state


def _possible(state: CpuState) -> None:
    wrong = {
        "paging without protection": state.cr0 & CR0_PG and not state.cr0 & CR0_PE,
        "CR0.NW without CR0.CD": state.cr0 & CR0_NW and not state.cr0 & CR0_CD,
        "virtual-8086 mode without protection": state.eflags & EFLAGS_VM and not state.cr0 & CR0_PE,
        "EFLAGS without its bit 1": not state.eflags & 2,
        "a memory type in PAT that there is not": any(
            byte not in LEGAL_PAT for byte in state.pat.to_bytes(8, "little")
        ),
        "an event for a vCPU that halts": state.halted and state.event is not None,
    }
    for what, is_so in wrong.items():
        if is_so:
            raise StateError(f"cpu: {what}: no vCPU can be in that state")


def _fpu(record: Any) -> FpuState:
    _has(record, {*FPU_NUMBERS, *REGISTERS_OF_8, "told"}, "fpu")
    for name, size in REGISTERS_OF_8.items():
        values = record[name]
        if not isinstance(values, list | tuple) or len(values) != 8:
            raise StateError(f"fpu: field {name} must be a list of 8 registers")
        if not all(isinstance(value, bytes) and len(value) == size for value in values):
            raise StateError(f"fpu: field {name} must hold registers of {size} bytes")
    found: dict[str, Any] = {name: _number(record, name, bits, "fpu") for name, bits in FPU_NUMBERS.items()}
    found |= {name: tuple(record[name]) for name in REGISTERS_OF_8}
    return FpuState(**found, told=bool(_number(record, "told", 1, "fpu")))


def _event(record: Any) -> Event | None:
    if record is None:
        return None
    _has(record, {"vector", "interrupt", "error"}, "event")
    error = None if record["error"] is None else _number(record, "error", DWORD, "event")
    vector, interrupt = _number(record, "vector", 0xFF, "event"), bool(_number(record, "interrupt", 1, "event"))
    if not interrupt and vector >= 32:
        raise StateError(f"event: there is no exception {vector}")
    return Event(vector, interrupt, error)


def _numbers(record: Any, fields: dict[str, int], what: str) -> dict[str, int]:
    _has(record, set(fields), what)
    return {name: _number(record, name, bits, what) for name, bits in fields.items()}


def _has(record: Any, fields: set[str], what: str) -> None:
    if not isinstance(record, dict):
        raise StateError(f"{what}: the saved record is a {type(record).__name__} and no dict")
    if wrong := set(record) ^ fields:
        raise StateError(f"{what}: the saved record lacks or adds the fields {', '.join(sorted(map(str, wrong)))}")


def _number(record: dict[str, Any], name: str, bits: int, what: str) -> int:
    value = record[name]
    if not isinstance(value, int) or not 0 <= value <= QWORD:
        raise StateError(f"{what}: field {name} is no number of 64 bits")
    if value & ~bits:
        raise StateError(f"{what}: field {name} holds {value:#x}, but its bits are {bits:#x}")
    return int(value)
