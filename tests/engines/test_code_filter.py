# SPDX-License-Identifier: GPL-2.0-or-later
"""What the opcode filter has a translator read, without an engine or a library around it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.cpu.undefined import Verdict, judge
from hyperport.engines.shared.scripted_vcpu import GuestFaultError
from hyperport.engines.unicorn.scripted_translator import ScriptedTranslator

AT, PAGE = 0x100, 4096
PREFIXES = bytes.fromhex("26 2e 36 3e 64 65 66 67 f0 f2 f3")
HLT, UD2 = "f4", "0f 0b"
GP, PF = 13, 14
MODES: dict[str, dict[str, Any]] = {
    "flat, ring 0": {},
    "ring 3, IOPL 3": {"cpl": 3, "iopl": 3},
    "ring 3": {"cpl": 3},
    "real": {"code32": False, "protected": False},
    "virtual 8086": {"code32": False, "v8086": True, "cpl": 3, "iopl": 3},
    "breakpoints": {"breakpoints": True},
    "breakpoints, ring 3": {"breakpoints": True, "cpl": 3},
}


def opcodes(translator: ScriptedTranslator, at: int = AT) -> str:
    """Prefixes and opcode of one instruction, as a translator reads them."""
    seen = bytearray()
    while not seen or (seen[-1] in PREFIXES and len(seen) < 15):
        seen.append(translator.opcode(at + len(seen)))
    if seen[-1] == 0x0F:  # the core reads what is behind it at another place than what may be a prefix
        seen.append(translator.operand(at + len(seen)))
    return seen.hex(" ")


def seen(code: str, mode: str = "flat, ring 0", **more: Any) -> str:
    return opcodes(ScriptedTranslator(bytes.fromhex(code), AT, **MODES[mode] | more))


@pytest.mark.parametrize("code", ["90", "0f a2", "66 67 8b", "f3 0f 58", "66 0f 58", "f3 a4", "2e ec", "66 ed", "e4"])
@pytest.mark.parametrize("mode", MODES)
def test_an_instruction_is_read_as_it_is(code: str, mode: str) -> None:
    assert seen(f"{code} c0 c0", mode) == code


@pytest.mark.parametrize("string", ["6c", "6d", "6e", "6f", "f3 6c", "66 f3 6d", "f2 2e 6e", "67 6f"])
@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("flat, ring 0", None),
        ("ring 3, IOPL 3", None),
        ("real", None),
        ("ring 3", HLT),
        ("virtual 8086", HLT),
        ("breakpoints", UD2),
        ("breakpoints, ring 3", HLT),
    ],
)
def test_a_port_string_is_read_as_what_leads_to_the_engine(string: str, mode: str, wanted: str | None) -> None:
    assert seen(string, mode) == (wanted or string)


@pytest.mark.parametrize(("cpl", "iopl"), [(cpl, iopl) for cpl in range(4) for iopl in range(4)])
def test_a_port_string_is_hlt_where_cpl_is_above_iopl(cpl: int, iopl: int) -> None:
    assert seen("6c", cpl=cpl, iopl=iopl) == (HLT if cpl > iopl else "6c")


@pytest.mark.parametrize(
    "code",
    [
        "0f ff",  # nothing
        "0f 05",  # SYSCALL, which CPUID does not claim
        "f0 90",  # LOCK where it is not allowed
        "f0 6c",
        "f0 01 c0",  # add eax, eax
        "8f c8",  # 8F /1
        "66 f0 0f 0b",
        "f1",  # ICEBP: the engine does it
        "0f 01 e0",  # SMSW EAX
    ],
)
@pytest.mark.parametrize("mode", ["flat, ring 0", "ring 3", "breakpoints"])
def test_what_is_no_instruction_is_read_as_ud2(code: str, mode: str) -> None:
    assert seen(f"{code} 00 00", mode) == UD2


@pytest.mark.parametrize("byte", [0x6C, 0x6F, 0xF0, 0xF1, 0x66])
@pytest.mark.parametrize("mode", MODES)
def test_operands_are_never_changed(byte: int, mode: str) -> None:
    translator = ScriptedTranslator(bytes([0xB0, byte]), AT, **MODES[mode])  # mov al, byte
    assert opcodes(translator) == "b0"
    assert translator.operand(AT + 1) == byte


@pytest.mark.parametrize(("code", "wanted"), [("66 f3 0f 58", "f3 f3 0f 58"), ("f2 66 0f 58", "f2 f2 0f 58")])
def test_66_gives_way_to_the_prefix_that_chooses_an_sse_instruction(code: str, wanted: str) -> None:
    translator = ScriptedTranslator(bytes.fromhex(f"{code} c1 66 90"), AT)
    assert opcodes(translator) == wanted
    assert translator.operand(AT + 4) == 0xC1
    assert opcodes(translator, AT + 5) == "66 90"  # that was for one instruction


def test_the_second_byte_of_a_ud2_is_for_who_goes_on_reading() -> None:
    translator = ScriptedTranslator(bytes.fromhex("f0 90 90"), AT)
    assert translator.opcode(AT) == 0x0F
    assert translator.opcode(AT + 1) == 0x0B
    assert translator.opcode(AT + 1) == 0x90  # a block that begins there
    assert translator.opcode(AT) == 0x0F
    assert translator.opcode(AT + 2) == 0x90  # the translator went elsewhere
    assert translator.opcode(AT + 1) == 0x90


def test_behind_the_limit_of_cs_nothing_is_read() -> None:
    translator = ScriptedTranslator(bytes.fromhex("90 b0 6c"), AT, limit=AT + 1)
    assert opcodes(translator) == "90"
    assert opcodes(translator, AT + 1) == "b0"
    for ask in (translator.operand, translator.opcode):
        with pytest.raises(GuestFaultError) as caught:
            ask(AT + 2)
        assert caught.value.vector == GP


def test_an_instruction_that_must_be_seen_whole_to_be_judged_ends_at_the_limit() -> None:
    with pytest.raises(GuestFaultError) as caught:
        seen("0f 01 e0", limit=AT + 1)
    assert caught.value.vector == GP
    assert seen("0f 01 e0", limit=AT + 2) == UD2


@pytest.mark.parametrize(("distance", "ends"), [(0, True), (29, True), (30, False), (1000, False)])
def test_close_to_the_limit_an_instruction_is_alone_in_its_block(distance: int, ends: bool) -> None:
    translator = ScriptedTranslator(b"\x90", AT, limit=AT + distance)
    assert opcodes(translator) == "90"
    assert translator.block_ends == ends


@pytest.mark.parametrize(("code", "faults"), [("90", False), ("b0", False), ("6c", False), ("0f", True), ("f3", True)])
def test_the_next_page_is_read_only_where_the_instruction_goes_on_there(code: str, faults: bool) -> None:
    translator = ScriptedTranslator(bytes.fromhex(code), PAGE - 1, absent=(1,))
    if not faults:
        assert opcodes(translator, PAGE - 1) == code
        return
    with pytest.raises(GuestFaultError) as caught:
        translator.opcode(PAGE - 1)
    assert (caught.value.vector, caught.value.address) == (PF, PAGE)


@pytest.mark.parametrize("code", ["90", "f3 6c", "f0 90", "66 f3 0f 58", "0f 01 e0"])
@pytest.mark.parametrize("mode", MODES)
def test_a_page_that_is_no_ram_is_read_byte_by_byte(code: str, mode: str) -> None:
    translator = ScriptedTranslator(bytes.fromhex(code), AT, device=(0,), **MODES[mode])
    assert opcodes(translator) == seen(code, mode)
    across = ScriptedTranslator(bytes.fromhex(code), PAGE - 1, **MODES[mode])
    assert opcodes(across, PAGE - 1) == seen(code, mode)


@pytest.mark.parametrize(("temporaries", "ends"), [(0, False), (448, False), (449, True), (511, True)])
def test_a_block_ends_before_its_temporaries_do(temporaries: int, ends: bool) -> None:
    translator = ScriptedTranslator(b"\x90", AT)
    translator.temporaries = temporaries
    translator.opcode(AT)
    assert translator.block_ends == ends


@pytest.mark.parametrize("mode", [{"resumed": True}, {"breakpoints": True}])
def test_an_instruction_is_alone_in_its_block_while_rf_or_breakpoints_count(mode: dict[str, Any]) -> None:
    translator = ScriptedTranslator(b"\x90", AT, **mode)
    translator.opcode(AT)
    assert translator.block_ends


PLACES = (AT, PAGE - 1, PAGE - 3)
PIECES = st.sampled_from(
    [bytes([b]) for b in PREFIXES] + [bytes([b]) for b in (0x0F, 0x6C, 0x6F, 0xF1, 0x01, 0xC8, 0x90)]
) | st.binary(min_size=1, max_size=4)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8), st.sampled_from(sorted(MODES)), st.sampled_from(PLACES))
def test_any_bytes_are_read_as_they_are_or_as_what_leads_to_the_engine(pieces: list[bytes], mode: str, at: int) -> None:
    code = (b"".join(pieces) + bytes(15))[:15]
    config = MODES[mode]
    protected = config.get("protected", True) and not config.get("v8086", False)
    verdict = judge(code, config.get("code32", True), protected)
    read = opcodes(ScriptedTranslator(code, at, **config), at)
    length = next((n for n, byte in enumerate(code) if byte not in PREFIXES), 15)
    if verdict in (Verdict.UNDEFINED, Verdict.ICEBP, Verdict.SMSW_LONG):
        assert read == UD2
    elif length < 15 and code[length] & 0xFC == 0x6C:
        assert read in (HLT, UD2, code[: length + 1].hex(" "))
    elif verdict == Verdict.DEFINED:
        assert read == code[: len(bytes.fromhex(read))].hex(" ")
