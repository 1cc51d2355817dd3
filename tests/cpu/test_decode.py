# SPDX-License-Identifier: GPL-2.0-or-later
"""The decoder of the port instructions, by hand and beside iced-x86: every prefix combination, and any bytes at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, astuple
from itertools import product
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from iced_x86 import Code, Decoder, DecoderError, DecoderOptions, Instruction, OpKind, Register

from hyperport.cpu.decode import (
    DECODE_INVALID,
    DECODE_MORE,
    DECODE_OTHER,
    DECODE_TOO_LONG,
    PortInstructionRecord,
    decode,
    decode_result,
)

LOCK: Final = 0xF0
PREFIXES: Final = (0x66, 0x67, 0xF2, 0xF3, LOCK, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
WITH_IMMEDIATE: Final = (0xE4, 0xE5, 0xE6, 0xE7)
OPCODES: Final = (*WITH_IMMEDIATE, 0xEC, 0xED, 0xEE, 0xEF, 0x6C, 0x6D, 0x6E, 0x6F)
ES, CS, SS, DS, FS, GS = range(6)

PORT_CODES: Final = {  # direction, string, size, immediate
    Code.IN_AL_IMM8: (0, False, 1, True),
    Code.IN_AX_IMM8: (0, False, 2, True),
    Code.IN_EAX_IMM8: (0, False, 4, True),
    Code.OUT_IMM8_AL: (1, False, 1, True),
    Code.OUT_IMM8_AX: (1, False, 2, True),
    Code.OUT_IMM8_EAX: (1, False, 4, True),
    Code.IN_AL_DX: (0, False, 1, False),
    Code.IN_AX_DX: (0, False, 2, False),
    Code.IN_EAX_DX: (0, False, 4, False),
    Code.OUT_DX_AL: (1, False, 1, False),
    Code.OUT_DX_AX: (1, False, 2, False),
    Code.OUT_DX_EAX: (1, False, 4, False),
    Code.INSB_M8_DX: (0, True, 1, False),
    Code.INSW_M16_DX: (0, True, 2, False),
    Code.INSD_M32_DX: (0, True, 4, False),
    Code.OUTSB_DX_M8: (1, True, 1, False),
    Code.OUTSW_DX_M16: (1, True, 2, False),
    Code.OUTSD_DX_M32: (1, True, 4, False),
}
ADDRESS_SIZES: Final = {
    OpKind.MEMORY_ESDI: 2,
    OpKind.MEMORY_ESEDI: 4,
    OpKind.MEMORY_SEG_SI: 2,
    OpKind.MEMORY_SEG_ESI: 4,
}
SEGMENTS: Final = {
    Register.ES: ES,
    Register.CS: CS,
    Register.SS: SS,
    Register.DS: DS,
    Register.FS: FS,
    Register.GS: GS,
}


def bits(code32: bool) -> int:
    return 32 if code32 else 16


def reference(instruction: Instruction) -> tuple[object, ...] | None:
    """An instruction of iced as the fields of PortInstructionRecord. LOCK is the caller's business."""
    form = PORT_CODES.get(instruction.code)
    if form is None:
        return None
    direction, string, size, immediate = form
    address_size, rep, segment, port = 0, False, 0, 0
    if string:
        address_size = ADDRESS_SIZES[instruction.op1_kind if direction else instruction.op0_kind]
        rep = instruction.has_rep_prefix or instruction.has_repne_prefix
        segment = SEGMENTS[instruction.memory_segment] if direction else ES
    if immediate:
        port = instruction.immediate8
    return instruction.len, direction, string, size, address_size, rep, segment, immediate, port


def iced(code: bytes, code32: bool) -> tuple[Instruction, int]:
    """The first instruction of code, a locked port instruction as itself, and a DecoderError."""
    decoder = Decoder(bits(code32), code, DecoderOptions.NO_INVALID_CHECK)
    return decoder.decode(), decoder.last_error


def result_of_iced(code: bytes, code32: bool) -> int:
    """What decode_result() should give, by iced and by what iced makes of the same bytes continued."""
    instruction, error = iced(code, code32)
    if instruction.code in PORT_CODES:
        return DECODE_INVALID if instruction.has_lock_prefix else int(instruction.len)
    if error == DecoderError.NO_MORE_BYTES:  # of any instruction: can a port instruction still come of it?
        ends = (b"\x55", *(bytes([opcode, 0x55]) for opcode in OPCODES))
        return DECODE_MORE if any(iced(code + end, code32)[0].code in PORT_CODES for end in ends) else DECODE_OTHER
    if error == DecoderError.INVALID_INSTRUCTION and instruction.len == 15 and all(b in PREFIXES for b in code[:14]):
        return DECODE_TOO_LONG if code[14] in (*PREFIXES, *WITH_IMMEDIATE) else DECODE_OTHER
    return DECODE_OTHER


@pytest.mark.parametrize(
    ("code", "code32", "expected"),
    [
        ("e4 60", True, PortInstructionRecord(2, 0, False, 1, 0, False, 0, True, 0x60)),
        ("e6 ff", False, PortInstructionRecord(2, 1, False, 1, 0, False, 0, True, 0xFF)),
        ("e5 80", True, PortInstructionRecord(2, 0, False, 4, 0, False, 0, True, 0x80)),
        ("66 e5 80", True, PortInstructionRecord(3, 0, False, 2, 0, False, 0, True, 0x80)),
        ("66 e7 00", False, PortInstructionRecord(3, 1, False, 4, 0, False, 0, True, 0)),
        ("ef", False, PortInstructionRecord(1, 1, False, 2, 0, False, 0, False, 0)),
        ("66 ec", True, PortInstructionRecord(2, 0, False, 1, 0, False, 0, False, 0)),
        ("f3 67 65 ee", True, PortInstructionRecord(4, 1, False, 1, 0, False, 0, False, 0)),
        ("66 66 ed", True, PortInstructionRecord(3, 0, False, 2, 0, False, 0, False, 0)),
        ("6c", True, PortInstructionRecord(1, 0, True, 1, 4, False, ES, False, 0)),
        ("f3 64 6d", False, PortInstructionRecord(3, 0, True, 2, 2, True, ES, False, 0)),
        ("f2 6e", True, PortInstructionRecord(2, 1, True, 1, 4, True, DS, False, 0)),
        ("67 66 6f", True, PortInstructionRecord(3, 1, True, 2, 2, False, DS, False, 0)),
        ("67 67 6f", False, PortInstructionRecord(3, 1, True, 2, 4, False, DS, False, 0)),
        ("26 f3 2e 66 36 6e", False, PortInstructionRecord(6, 1, True, 1, 2, True, SS, False, 0)),
        ("3e 65 64 6e", True, PortInstructionRecord(4, 1, True, 1, 4, False, FS, False, 0)),
        ("26 6e", True, PortInstructionRecord(2, 1, True, 1, 4, False, ES, False, 0)),
        ("2e 6e", True, PortInstructionRecord(2, 1, True, 1, 4, False, CS, False, 0)),
        ("65 6e", True, PortInstructionRecord(2, 1, True, 1, 4, False, GS, False, 0)),
    ],
)
def test_forms(code: str, code32: bool, expected: PortInstructionRecord) -> None:
    assert decode(bytes.fromhex(code), code32) == expected
    assert decode_result(bytes.fromhex(code), code32) == expected.length


@pytest.mark.parametrize("code32", [False, True])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("90", DECODE_OTHER),
        ("0f ec c0", DECODE_OTHER),
        ("48 ec", DECODE_OTHER),  # REX in 64-bit code only
        ("f0 01 00", DECODE_OTHER),  # lock add: legal, and not ours
        ("f0 ec", DECODE_INVALID),
        ("66 f0 f3 6f", DECODE_INVALID),
        ("f0 e4 60", DECODE_INVALID),
        ("f0 e4", DECODE_MORE),
        ("", DECODE_MORE),
        ("e7", DECODE_MORE),
        ("f3 2e", DECODE_MORE),
        ("66" * 14, DECODE_MORE),
        ("66" * 15, DECODE_TOO_LONG),
        ("66" * 15 + "90", DECODE_TOO_LONG),
        ("66" * 14 + "90", DECODE_OTHER),
        ("66" * 14 + "e4", DECODE_TOO_LONG),
        ("f0" * 14 + "e4 60", DECODE_TOO_LONG),
        ("f0" * 14 + "ec", DECODE_INVALID),
        ("66" * 14 + "ec", 15),
        ("66" * 13 + "e4 60", 15),
        ("66" * 13 + "e4", DECODE_MORE),
    ],
)
def test_what_is_no_port_instruction(code: str, code32: bool, expected: int) -> None:
    assert decode_result(bytes.fromhex(code), code32) == expected
    assert (decode(bytes.fromhex(code), code32) is None) == (expected <= 0)


def test_records_are_frozen() -> None:
    record = decode(b"\xec", True)
    assert record is not None
    with pytest.raises(FrozenInstanceError):
        record.port = 1  # type: ignore[misc]


@pytest.mark.parametrize("call", [decode, decode_result])
def test_code_is_bytes(call: Callable[[object, bool], object]) -> None:
    for wrong in (None, "\xec", bytearray(b"\xec")):
        with pytest.raises(TypeError):
            call(wrong, True)


def prefix_sequences(longest: int) -> Iterator[bytes]:
    """Every sequence of up to `longest` prefixes, in every order and with repetitions."""
    for count in range(longest + 1):
        yield from map(bytes, product(PREFIXES, repeat=count))


@pytest.mark.parametrize("code32", [False, True])
@pytest.mark.parametrize("opcode", OPCODES, ids="{:02x}".format)
def test_every_order_of_four_prefixes(opcode: int, code32: bool) -> None:
    """16,105 prefix sequences; iced decodes them as one long program, so that a wrong length shows at the next one."""
    end = bytes([opcode, 0xA5]) if opcode in WITH_IMMEDIATE else bytes([opcode])
    codes = [prefixes + end for prefixes in prefix_sequences(4)]
    assert len(codes) == sum(len(PREFIXES) ** count for count in range(5))
    program = Decoder(bits(code32), b"".join(codes))
    for code in codes:
        instruction = program.decode()
        assert instruction.len == len(code), code.hex()
        if LOCK in code[: -len(end)]:
            assert program.last_error == DecoderError.INVALID_INSTRUCTION, code.hex()
            assert decode_result(code, code32) == DECODE_INVALID, code.hex()
        else:
            record = decode(code, code32)
            assert record is not None, code.hex()
            assert astuple(record) == reference(instruction), code.hex()
    assert not program.can_decode


@pytest.mark.parametrize("code32", [False, True])
def test_every_first_byte(code32: bool) -> None:
    """No byte but the opcodes and the prefixes leads to a port instruction, and no immediate is special."""
    for first, second in product(range(256), repeat=2):
        code = bytes([first, second, 0, 0])
        assert decode_result(code, code32) == result_of_iced(code, code32), code.hex()
        record = decode(code, code32)
        assert (record and astuple(record)) == (None if first == LOCK else reference(iced(code, code32)[0])), code.hex()


@pytest.mark.parametrize("code32", [False, True])
def test_every_length(code32: bool) -> None:
    """0 to 20 prefixes, cut anywhere."""
    for opcode, count, prefix in product(OPCODES, range(21), PREFIXES):
        whole = bytes([prefix]) * count + bytes([opcode, 0x42])
        for cut in range(len(whole) + 1):
            code = whole[:cut]
            assert decode_result(code, code32) == result_of_iced(code, code32), code.hex()


LIKELY: Final = st.sampled_from((*PREFIXES, *OPCODES))
ANY: Final = st.integers(0, 255)
PREFIXED: Final = st.builds(
    lambda prefixes, rest: bytes(prefixes) + rest,
    st.lists(st.sampled_from(PREFIXES), max_size=18),
    st.binary(max_size=6) | st.lists(LIKELY, max_size=6).map(bytes),
)


@given(code=PREFIXED | st.lists(LIKELY | ANY, max_size=24).map(bytes), code32=st.booleans())
@example(code=bytes([0x66]) * 13 + b"\x0f", code32=True)
@example(code=bytes([0x66]) * 14 + b"\xe4", code32=True)
@example(code=b"\xc5", code32=True)  # LDS or VEX: only the next byte tells
def test_any_bytes(code: bytes, code32: bool) -> None:
    result = decode_result(code, code32)
    assert result == result_of_iced(code, code32)
    record = decode(code, code32)
    if result > 0:
        assert record is not None
        assert astuple(record) == reference(iced(code, code32)[0])
    else:
        assert record is None


@given(code=PREFIXED, tail=st.binary(max_size=20), code32=st.booleans())
def test_only_the_instruction_itself_is_read(code: bytes, tail: bytes, code32: bool) -> None:
    """Bytes behind change nothing once the result is settled, and every shorter piece asks for more."""
    result = decode_result(code, code32)
    if result != DECODE_MORE:
        assert decode_result(code + tail, code32) == result
    if result > 0:
        assert decode(code + tail, code32) == decode(code[:result], code32)
        for cut in range(result):
            assert decode_result(code[:cut], code32) == DECODE_MORE
            assert iced(code[:cut], code32)[1] == DecoderError.NO_MORE_BYTES
