# SPDX-License-Identifier: GPL-2.0-or-later
"""The core's translator alone: what one block of code costs it, without running the code.

A plain CPU of libunicorn, by ctypes: this measures the library, not hyperport's use of it. The offsets are those of
src/hyperport/engines/unicorn/layout.pxi and tools/unicorn_layout.c.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hyperport.engines.unicorn.library import library_path

UC_CPU, UC_TCG, CPU_ENV_PTR, ENV_FEATURES = 440, 768, 296, 5632
NB_LABELS, NB_GLOBALS, NB_TEMPS, NB_OPS = 40, 44, 48, 56  # TCGContext
TB_JMP_RESET_OFFSET, TB_JMP_INSN_OFFSET, TB_JMP_TARGET_ADDR, TB_CFLAGS = 72, 80, 88, 100
FRAME_OFFSET, FRAME_START, TCG_CPU, CODE_GEN_PTR = 104, 112, 224, 192
TB_BYTES, TB_TC_PTR, TB_RESET_OFFSETS, TB_TARGETS = 160, 32, 88, 96  # TranslationBlock
FEATURES: Final = ((0, 0xFFFFFFFF), (1, 0xFFFFFFFF), (4, 0xFFFFFFFF), (6, 0xDFFFFFFF))  # all but long mode

CODE: Final = 0x10000
MAPPED: Final = 0x20000

# The core's hidden flags, which with EFLAGS make up a block's mode.
HIDDEN_CS32, HIDDEN_SS32, HIDDEN_ADDSEG, HIDDEN_PE, HIDDEN_OSFXSR = 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 22
TF, IOPL_3, VM = 1 << 8, 3 << 12, 1 << 17
_FLAT: Final = HIDDEN_CS32 | HIDDEN_SS32 | HIDDEN_PE | HIDDEN_OSFXSR
MODES: Final = {
    "real": HIDDEN_ADDSEG | HIDDEN_OSFXSR,
    "flat, ring 0": _FLAT,
    "segmented, ring 3": _FLAT | HIDDEN_ADDSEG | 3,
    "16-bit stack": HIDDEN_CS32 | HIDDEN_PE | HIDDEN_ADDSEG | HIDDEN_OSFXSR,
    "16-bit code, ring 0": HIDDEN_SS32 | HIDDEN_PE | HIDDEN_ADDSEG | HIDDEN_OSFXSR,
    "virtual 8086": HIDDEN_PE | HIDDEN_ADDSEG | HIDDEN_OSFXSR | VM | IOPL_3 | 3,
    "single steps": _FLAT | HIDDEN_ADDSEG | TF,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one block: temporaries beside those of the registers, operations, labels, bytes of host code, slots of the
    block's frame on the host's stack."""

    temporaries: int
    operations: int
    labels: int
    code: int
    slots: int


class Translator:
    """One CPU whose translator is called block by block. It decodes all that the core knows, whatever CPUID offers."""

    def __init__(self) -> None:
        library = ctypes.CDLL(str(library_path()))
        self._library = library
        uc = ctypes.c_void_p()
        assert library.uc_open(4, 4, ctypes.byref(uc)) == 0  # x86, 32 bits
        self._uc = uc
        self._memory = ctypes.create_string_buffer(MAPPED + 4096)
        base = (ctypes.addressof(self._memory) + 4095) & ~4095
        assert library.uc_mem_map_ptr(uc, ctypes.c_uint64(0), ctypes.c_uint64(MAPPED), 7, ctypes.c_void_p(base)) == 0
        self._code = base + CODE
        self._hook = ctypes.CFUNCTYPE(None)(lambda: None)
        hook = ctypes.c_size_t()
        everywhere = (ctypes.c_uint64(1), ctypes.c_uint64(0))
        assert library.uc_hook_add(uc, ctypes.byref(hook), 1, self._hook, None, *everywhere) == 0
        assert uc.value
        self._cpu = self._pointer(uc.value + UC_CPU).value
        self._tcg = self._pointer(uc.value + UC_TCG).value
        assert self._cpu
        assert self._tcg
        env = self._pointer(self._cpu + CPU_ENV_PTR).value
        assert env
        for word, bits in FEATURES:
            ctypes.c_uint64.from_address(env + ENV_FEATURES + 8 * word).value = bits
        self._func_start = library.tcg_func_start_x86_64
        self._intermediate = library.gen_intermediate_code_x86_64
        self._generate = library.tcg_gen_code_x86_64
        self._block = ctypes.create_string_buffer(TB_BYTES)
        # A first run builds what the translator needs: the TLB's entry of the code page.
        self.write(b"\xeb\x00")
        until = ctypes.c_uint64(CODE + 2)
        assert library.uc_emu_start(uc, ctypes.c_uint64(CODE), until, ctypes.c_uint64(0), ctypes.c_size_t(0)) == 0

    @staticmethod
    def _pointer(address: int) -> ctypes.c_void_p:
        return ctypes.c_void_p.from_address(address)

    def _number(self, offset: int) -> int:
        assert self._tcg
        return ctypes.c_int32.from_address(self._tcg + offset).value

    def write(self, code: bytes) -> None:
        """Put code where blocks begin."""
        ctypes.memmove(self._code, code, len(code))

    def cost(self, instructions: int, mode: int, *, generate: bool = True) -> Cost:
        """Translate so many instructions, or less if the block ends before. generate: host code too."""
        tcg, block = self._tcg, ctypes.addressof(self._block)
        assert tcg
        assert self._cpu
        code_pointer = self._pointer(tcg + CODE_GEN_PTR).value
        ctypes.memset(block, 0, TB_BYTES)
        struct.pack_into("<QQI", self._block, 0, CODE, 0, mode)
        struct.pack_into("<Q", self._block, TB_TC_PTR, code_pointer)
        struct.pack_into("<HH", self._block, TB_RESET_OFFSETS, 0xFFFF, 0xFFFF)
        ctypes.c_uint32.from_address(tcg + TB_CFLAGS).value = 0
        self._func_start(ctypes.c_void_p(tcg))
        self._pointer(tcg + TCG_CPU).value = self._cpu
        self._intermediate(ctypes.c_void_p(self._cpu), ctypes.c_void_p(block), instructions)
        temporaries = self._number(NB_TEMPS) - self._number(NB_GLOBALS)
        operations, labels = self._number(NB_OPS), self._number(NB_LABELS)
        size = slots = 0
        if generate:
            self._pointer(tcg + TB_JMP_RESET_OFFSET).value = block + TB_RESET_OFFSETS
            self._pointer(tcg + TB_JMP_INSN_OFFSET).value = block + TB_TARGETS
            self._pointer(tcg + TB_JMP_TARGET_ADDR).value = None
            size = self._generate(ctypes.c_void_p(tcg), ctypes.c_void_p(block))
            slots = (self._number(FRAME_OFFSET) - self._number(FRAME_START)) // 8
        return Cost(temporaries, operations, labels, size, slots)


PREFIXES: Final = (b"", b"\x66", b"\xf2", b"\xf3", b"\xf0", b"\x67", b"\x26", b"\x66\x67", b"\x66\xf2", b"\x66\xf3",
                   b"\x64\x66\x67\xf0")  # fmt: skip
MAPS: Final = (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")
ESCAPES: Final = (b"\x0f", b"\x26", b"\x2e", b"\x36", b"\x3e", b"\x64", b"\x65", b"\x66", b"\x67", b"\xf0", b"\xf2",
                  b"\xf3", b"\x0f\x38", b"\x0f\x3a")  # fmt: skip
BIT_TESTS: Final = (b"\x0f\xa3", b"\x0f\xab", b"\x0f\xb3", b"\x0f\xbb", b"\x0f\xba")
FORMS: Final = [mod << 6 | reg << 3 | rm for mod in range(4) for reg in range(8) for rm in (1, 4, 5)]
TAIL: Final = bytes.fromhex("8d44332211887766554433221100")  # SIB, displacement, immediate


def encodings(*, every_form: bool = False) -> Iterator[bytes]:
    """Each opcode of each map with each prefix, and after it ModRM bytes: all, or for all fields the forms that differ.

    Left out: LOCK and a bit test of a register, on which the translator gives up; guests never get there, as
    code_filter.pyx makes it UD2. x87 always gets all forms; what has no ModRM takes it for an immediate.
    """
    for opcodes, number, prefix in itertools.product(MAPS, range(256), PREFIXES):
        opcode = opcodes + bytes([number])
        if opcode in ESCAPES:
            continue
        registers_only_die = opcode in BIT_TESTS and b"\xf0" in prefix
        x87 = not opcodes and 0xD8 <= number <= 0xDF
        for form in range(256) if every_form or x87 else FORMS:
            if registers_only_die and form >= 0xC0:
                continue
            yield prefix + opcode + bytes([form]) + TAIL


# Each leaves the arithmetic flags in another of the translator's lazy states for the instruction after it.
FLAG_SETTERS: Final = (b"", b"\x01\xc8", b"\x29\xc8", b"\x19\xc8", b"\x11\xc8", b"\x21\xc8", b"\x31\xc0", b"\x40",
                       b"\x48", b"\xc1\xe0\x03", b"\xc1\xf8\x03", b"\xf7\xe1", b"\x0f\xaf\xc1", b"\x9e", b"\xd3\xe0",
                       b"\x66\x0f\x38\xf6\xc1", b"\xf3\x0f\xb8\xc1", b"\x0f\xbc\xc1", b"\xd1\xd0",
                       b"\x38\xc8")  # fmt: skip


def limit_in_source() -> int:
    """MOST_OF_ONE_INSTRUCTION of translator_limits.pxd."""
    text = (Path(__file__).parents[2] / "src/hyperport/engines/unicorn/translator_limits.pxd").read_text()
    found = re.search(r"MOST_OF_ONE_INSTRUCTION = (\d+)", text)
    assert found
    return int(found[1])
