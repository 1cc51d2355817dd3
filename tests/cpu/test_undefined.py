# SPDX-License-Identifier: GPL-2.0-or-later
"""Which encodings are instructions, against a decoder that nobody here wrote: iced-x86, with the features of CPUID."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iced_x86 import Code, CpuidFeature, Decoder

from hyperport.cpu.undefined import Verdict, judge, must_be_aligned

FEATURES = {value: name for name, value in vars(CpuidFeature).items() if isinstance(value, int)}
CLAIMED = {  # cpu/cpuid.py, and what a P6 has without a bit for it
    *("INTEL8086", "INTEL8086_ONLY", "INTEL186", "INTEL286", "INTEL386", "INTEL486", "FPU", "FPU287", "FPU387", "CMOV"),
    *("TSC", "MSR", "CX8", "SEP", "MMX", "FXSR", "SSE", "SSE2", "SSE3", "MULTIBYTENOP", "PAUSE", "CPUID", "RDPMC"),
}
# Features whose encodings a CPU without them executes as what they were before: hints, WBINVD, BSF, BSR.
IGNORED = {"PREFETCHW", "PREFETCHWT1", "PREFETCHITI", "CLDEMOTE", "CET_IBT", "CET_SS", "BMI1", "LZCNT", "WBNOINVD"}
IGNORED_AT = (0x09, 0x0D, *range(0x18, 0x20), 0xBC, 0xBD)  # behind 0F
NAMED_UNDEFINED = (Code.UD0_R16_RM16, Code.UD0_R32_RM32, Code.UD1_R16_RM16, Code.UD1_R32_RM32)
PREFIXES = (b"", b"\x66", b"\xf2", b"\xf3", b"\xf0", b"\xf0\x66", b"\x66\xf3", b"\xf2\x66")
MODRM = (*range(0x00, 0x40, 8), *range(0x44, 0x80, 8), *range(0xC0, 0x100))


def encodings() -> Iterator[bytes]:
    """All opcodes of the two maps with what stands behind them."""
    for opcode in range(256):
        for modrm in MODRM:
            if opcode not in b"\x0f\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3":
                yield bytes((opcode, modrm))
            if opcode != 0x0D:  # its register form is a reserved NOP that our core does not have: docs/cpu.md
                yield bytes((0x0F, opcode, modrm))


def is_instruction(code: bytes) -> bool:
    """What iced-x86 says of it."""
    found = Decoder(32, code).decode()
    if found.code == Code.INVALID or found.code in NAMED_UNDEFINED:
        return False
    needs = {FEATURES[feature] for feature in found.cpuid_features()}
    opcode = code.lstrip(b"\x66\xf0\xf2\xf3")
    return needs <= (CLAIMED | IGNORED if opcode[0] == 0x0F and opcode[1] in IGNORED_AT else CLAIMED)


@pytest.mark.parametrize("prefix", PREFIXES, ids=lambda prefix: prefix.hex() or "none")
def test_every_encoding_beside_iced(prefix: bytes) -> None:
    differing = []
    for encoding in encodings():
        code = (prefix + encoding + bytes(13))[:15]
        if is_instruction(code) != (judge(code) != Verdict.UNDEFINED):
            differing.append((code[:4].hex(), judge(code).name))
    assert differing == []


@pytest.mark.parametrize("code", ["63c0", "0f00c0", "0f00d0", "0f02c0", "0f03c0"])
def test_instructions_of_protected_mode_alone(code: str) -> None:
    assert judge(bytes.fromhex(code)) == Verdict.DEFINED
    assert judge(bytes.fromhex(code), protected=False) == Verdict.UNDEFINED


@pytest.mark.parametrize(
    ("code", "code32", "verdict"),
    [
        ("f1", True, Verdict.ICEBP),
        ("66f1", True, Verdict.ICEBP),
        ("f0f1", True, Verdict.UNDEFINED),
        ("0f01e0", True, Verdict.SMSW_LONG),
        ("660f01e0", True, Verdict.DEFINED),
        ("660f01e0", False, Verdict.SMSW_LONG),
        ("0f0120", True, Verdict.DEFINED),
        ("66f30f58c0", True, Verdict.BY_REP),
        ("f2660f58c0", True, Verdict.BY_REPNE),
        ("f30f58c0", True, Verdict.DEFINED),
        ("66f390", True, Verdict.DEFINED),
    ],
)
def test_what_the_engine_treats_by_itself(code: str, code32: bool, verdict: Verdict) -> None:
    assert judge(bytes.fromhex(code), code32) == verdict


@pytest.mark.parametrize(
    ("code", "aligned"),
    [
        ("0f2800", True),  # movaps
        ("0f1000", False),  # movups
        ("0f28c1", False),  # registers
        ("660f6f00", True),  # movdqa
        ("f30f6f00", False),  # movdqu
        ("0f6f00", False),  # movq mm
        ("0f5800", True),  # addps
        ("f30f5800", False),  # addss
        ("66f30f5800", False),  # addss with a 66 that means nothing
        ("0f5a00", False),  # cvtps2pd
        ("660f5a00", True),  # cvtpd2ps
        ("660fe700", True),  # movntdq
        ("0fe700", False),  # movntq
        ("f20ff000", False),  # lddqu
        ("f30f1200", True),  # movsldup
        ("f20f1200", False),  # movddup
        ("8b00", False),
    ],
)
def test_operands_that_must_be_aligned(code: str, aligned: bool) -> None:
    assert must_be_aligned(bytes.fromhex(code)) == aligned


@given(st.binary(min_size=15, max_size=15), st.booleans(), st.booleans())
def test_no_byte_is_asked_for_that_does_not_matter(code: bytes, code32: bool, protected: bool) -> None:
    verdict = judge(code, code32, protected)
    needed = next(n for n in range(16) if judge(code[:n], code32, protected) != Verdict.NEED_MORE)
    assert judge(code[:needed], code32, protected) == verdict
    assert verdict != Verdict.NEED_MORE
    found = Decoder(32 if code32 else 16, code).decode()
    if found.code != Code.INVALID:
        assert needed <= found.len
