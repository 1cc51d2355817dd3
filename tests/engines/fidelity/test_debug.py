# SPDX-License-Identifier: GPL-2.0-or-later
"""Debug registers and debug exceptions: SDM vol. 3, 17.2 and 17.3."""

from __future__ import annotations

import pytest

from hyperport.abi import CONVENTIONS
from hyperport.cpu.state import CpuState
from hyperport.io.hypercall import CallTable

from ...conftest import machine_code
from .guest import BP, CR4_DE, DB, GP, START, UD, CpuGuest

B0, B1, B3, BD, BS, ONES = 1, 2, 8, 1 << 13, 1 << 14, 0xFFFF0FF0
EXECUTE, WRITE, PORT, ACCESS = 0, 1, 2, 3
AT = 0x6000
TF, RF = 1 << 8, 1 << 16


def arm(address: int, kind: int, length: int = 0, number: int = 0) -> str:
    """Sets a breakpoint; EAX is 0 after it. Its length is 21 bytes for any."""
    dr7 = 2 << 2 * number | (kind | length << 2) << 16 + 4 * number
    return f"""\
        b8 {address.to_bytes(4, "little").hex(" ")}
        0f 23 {0xC0 | number << 3:02x}
        b8 {dr7.to_bytes(4, "little").hex(" ")}
        0f 23 f8
        b8 00 00 00 00
        """


ARMED = 21


def dr6(cpu: CpuGuest) -> int:
    """Reads it with a guest of its own, in which DR7 is set to 0."""
    cpu.run("31 c0 ; xor eax, eax\n 0f 23 f8 ; mov dr7, eax\n 0f 21 f3 ; mov ebx, dr6\n 0f 23 f0 ; mov dr6, eax")
    state: CpuState = cpu.engine.state()
    return state.ebx


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_execution(cpu: CpuGuest, number: int) -> None:
    end = cpu.run(arm(START + ARMED + 1, EXECUTE, number=number) + "90 \n 90 \n 90")
    assert (end.vector, end.offset, end.eflags & RF) == (DB, ARMED + 1, 0)
    assert dr6(cpu) == ONES | 1 << number


def test_rf_holds_off_an_execution_breakpoint_once(cpu: CpuGuest) -> None:
    target = START + ARMED + 16
    code = (
        arm(target, EXECUTE)
        + f"""\
        68 02 00 01 00   ; push RF | 2
        6a 08            ; push cs
        68 {target.to_bytes(4, "little").hex(" ")} ; push target
        cf               ; iretd
        90 90 90
        43               ; target: inc ebx
        83 fb 02         ; cmp ebx, 2
        75 fa            ; jne target
        """
    )
    end = cpu.run(code)
    assert (end.vector, end.eip, end.state.ebx) == (DB, target, 1)


@pytest.mark.parametrize(
    ("kind", "length", "access", "hit"),
    [
        (WRITE, 3, "89 03 ; mov [ebx], eax", True),
        (WRITE, 3, "88 43 03 ; mov [ebx+3], al", True),
        (WRITE, 3, "88 43 04 ; mov [ebx+4], al", False),
        (WRITE, 3, "89 43 fd ; mov [ebx-3], eax", True),
        (WRITE, 0, "89 43 fc ; mov [ebx-4], eax", False),
        (WRITE, 0, "89 43 01 ; mov [ebx+1], eax", False),
        (WRITE, 0, "89 43 05 ; mov [ebx+5], eax", False),
        (WRITE, 0, "66 89 43 ff ; mov [ebx-1], ax", True),
        (WRITE, 3, "89 43 07 ; mov [ebx+7], eax", False),
        (WRITE, 2, "0f 7f 43 f9 ; movq [ebx-7], mm0", True),
        (WRITE, 2, "0f 7f 43 09 ; movq [ebx+9], mm0", False),
        (WRITE, 3, "8b 03 ; mov eax, [ebx]", False),
        (ACCESS, 3, "8b 03", True),
        (ACCESS, 1, "8a 43 01", True),
        (ACCESS, 1, "8a 43 02", False),
        (WRITE, 3, "ff 03 ; inc dword [ebx]", True),
        (WRITE, 3, "f0 ff 03 ; lock inc dword [ebx]", True),
        (ACCESS, 3, "0f ae 83 00 fe ff ff ; fxsave [ebx-512]", False),
        (ACCESS, 3, "0f ae 43 f0 ; fxsave [ebx-16]", True),
        (WRITE, 3, "66 c7 03 05 00 ; mov word [ebx], 5", True),
    ],
)
def test_data(cpu: CpuGuest, kind: int, length: int, access: str, hit: bool) -> None:
    code = arm(AT, kind, length) + access + "\n 90"
    size = len(bytes.fromhex("".join(c for c in access.split(";")[0] if c != " ")))
    end = cpu.run(code, registers={"ebx": AT})
    assert (end.vector == DB) == hit
    if hit:
        assert (end.offset, end.eflags & RF) == (ARMED + size, 0)
        assert dr6(cpu) == ONES | B0


@pytest.mark.parametrize(
    "access", ["f3 ab ; rep stosd", "67 f3 ab ; rep stosd by cx", "26 f3 a5 ; rep movsd", "66 f2 a5"]
)
@pytest.mark.parametrize("left", [0, 1, 3])
def test_the_last_element_ends_the_string(cpu: CpuGuest, access: str, left: int) -> None:
    size = 2 if access.startswith("66") else 4
    code = arm(AT, WRITE, 1) + access
    registers = {"edi": AT - 2 * size, "esi": AT + 64, "ecx": 3 + left}
    end = cpu.run(code, registers=registers)
    assert (end.vector, end.state.ecx, end.state.edi) == (DB, left, AT + size)
    assert end.offset == ARMED + (0 if left else len(machine_code(access)))


def test_a_string_without_elements_is_no_end_of_another(cpu: CpuGuest) -> None:
    end = cpu.run(arm(AT, WRITE, 3) + "89 03 \n f3 ab ; mov [ebx], eax; rep stosd", registers={"ebx": AT, "ecx": 0})
    assert (end.vector, end.offset) == (DB, ARMED + 2)


def test_a_write_is_done_once(cpu: CpuGuest) -> None:
    cpu.memory.write(AT, bytes(8))
    for address in (AT, AT + 1):
        end = cpu.run(arm(address, WRITE) + "ff 03 ; inc dword [ebx]", registers={"ebx": address})
        assert end.vector == DB
    assert cpu.memory.read(AT, 8).hex() == "0101000000000000"


def test_two_breakpoints_and_a_step_are_told_at_once(cpu: CpuGuest) -> None:
    first = "b8 00 60 00 00 \n 0f 23 c0 \n 0f 23 c8 \n"
    code = (
        first + "b8 0a 00 dd 00 ; mov eax, G0 G1, write 4\n 0f 23 f8 \n 9c \n 81 0c 24 00 01 00 00 \n 9d ; TF\n 89 03"
    )
    end = cpu.run(code, registers={"ebx": AT})
    assert end.vector == DB
    assert dr6(cpu) == ONES | B0 | B1 | BS


def test_movs_traps_after_the_iteration(cpu: CpuGuest) -> None:
    code = arm(AT + 2, WRITE) + "f3 a4 ; rep movsb"
    end = cpu.run(code, registers={"esi": 0x7000, "edi": AT, "ecx": 5})
    assert (end.vector, end.offset, end.state.ecx, end.state.edi) == (DB, ARMED, 2, AT + 3)


# Ports.


@pytest.mark.parametrize("code", ["ee ; out dx, al", "ec", "ef ; out dx, eax", "66 ed", "6e ; outsb", "6c"])
def test_ports_on_all_paths(on_path: CpuGuest, code: str) -> None:
    registers = {"edx": 0x99, "ebx": AT, "esi": AT, "edi": AT}
    end = on_path.run(arm(0x99, PORT) + code + "\n 90", registers=registers)
    assert (end.vector, end.offset) == (DB, ARMED + len(bytes.fromhex(code.split(";")[0])))
    assert dr6(on_path) == ONES | B0
    assert sum(count.accesses for count in on_path.bus.counts()) == 1
    registers["edx"] = 0x9A
    assert on_path.vector(arm(0x99, PORT) + code, registers=registers) is None
    assert (
        on_path.vector(arm(0x99, PORT) + code, registers=registers | {"edx": 0x99}, cr4=0x200) is None
    )  # not without DE


@pytest.mark.parametrize(("port", "hit"), [(0x97, False), (0x98, True), (0x9B, True), (0x9C, False), (0x95, True)])
def test_a_range_of_ports(on_path: CpuGuest, port: int, hit: bool) -> None:
    wide = "ef" if port == 0x95 else "ee"
    end = on_path.run(arm(0x9A, PORT, 3) + wide, registers={"edx": port})  # four ports, aligned
    assert (end.vector == DB) == hit


@pytest.mark.parametrize("code", ["f3 6c ; rep insb", "f3 6f ; rep outsd"])
def test_a_string_traps_after_each_element(on_path: CpuGuest, code: str) -> None:
    registers = {"edx": 0x99, "ecx": 3, "esi": AT, "edi": AT}
    end = on_path.run(arm(0x99, PORT) + code, registers=registers)
    assert (end.vector, end.offset, end.state.ecx) == (DB, ARMED, 2)
    end = on_path.run(arm(0x99, PORT) + code, registers=registers | {"ecx": 1})
    assert (end.vector, end.offset, end.state.ecx) == (DB, ARMED + 2, 0)
    assert on_path.vector(arm(0x99, PORT) + code, registers=registers | {"ecx": 0}) is None


def test_ins_into_watched_memory(on_path: CpuGuest) -> None:
    end = on_path.run(arm(AT + 1, WRITE) + "f3 6c ; rep insb", registers={"edx": 0x99, "ecx": 3, "edi": AT})
    assert (end.vector, end.state.ecx, end.state.edi) == (DB, 1, AT + 2)
    assert sum(count.accesses for count in on_path.bus.counts()) == 2


CALLS = {  # instruction, and EAX to EDX of OUT 8 bits, IN 8 bits, of each convention
    "kvm": (CONVENTIONS["kvm"], "0f 01 c1 ; vmcall", 3),
    "lguest": (CONVENTIONS["lguest"], "cd 1f ; int 1fh", 2),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("out", [True, False])
@pytest.mark.parametrize("eflags", [2, TF])
def test_private_calls(on_path: CpuGuest, name: str, out: bool, eflags: int) -> None:
    convention, code, length = CALLS[name]
    ports = {n: call.port for n, call in convention.ports.items() if call.port is not None}
    number = next(n for n, port in ports.items() if (port.size, port.string, bool(port.direction)) == (1, False, out))
    on_path.engine.offer(CallTable(on_path.bus, (convention,)))
    prologue = arm(0x99, PORT) + f"b8 {number.to_bytes(4, 'little').hex(' ')}\n"
    if eflags & TF:
        prologue += "9c \n 81 0c 24 00 01 00 00 \n 9d ; TF: from the next but one\n"
    end = on_path.run(prologue + code, registers={"ebx": 0x99, "ecx": 5})
    assert end.vector == DB
    assert end.offset == ARMED + 5 + (9 if eflags & TF else 0) + length
    assert dr6(on_path) == ONES | B0 | (BS if eflags & TF else 0)
    assert sum(count.accesses for count in on_path.bus.counts()) == 1


# The registers.


def test_reserved_bits(cpu: CpuGuest) -> None:
    code = "b8 ff ff ff ff \n 0f 23 f0 ; mov dr6, eax\n 0f 21 f1 ; mov ecx, dr6\n"
    code += "b8 00 dc 00 00 \n 0f 23 f8 ; mov dr7, eax\n 0f 21 fa ; mov edx, dr7"
    state = cpu.run(code).state
    assert (state.ecx, state.edx) == (0xFFFFEFFF, 0x400)


def test_dr4_and_dr5(cpu: CpuGuest) -> None:
    for code in ("0f 21 e3 ; mov ebx, dr4", "0f 23 eb ; mov dr5, ebx"):
        assert cpu.vector(code, cr4=CR4_DE) == UD
        assert cpu.vector(code, cr4=0) is None
    state = cpu.run("0f 21 e3 \n 0f 21 e9 ; mov ecx, dr5", cr4=0).state
    assert (state.ebx, state.ecx) == (ONES, 0x400)


@pytest.mark.parametrize("access", ["0f 21 c0 ; mov eax, dr0", "0f 23 c8 ; mov dr1, eax", "0f 21 f8", "0f 23 f0"])
def test_general_detect(cpu: CpuGuest, access: str) -> None:
    end = cpu.run("b8 00 20 00 00 \n 0f 23 f8 ; mov dr7, GD\n" + access)
    assert (end.vector, end.offset) == (DB, 8)
    assert end.eflags & RF  # a fault
    assert dr6(cpu) == ONES | BD  # and GD is clear now, or this would have been the next


def test_privilege(cpu: CpuGuest) -> None:
    assert cpu.vector("0f 21 c0", ring=3) == GP
    assert cpu.vector("cc ; int3", ring=0) == BP


# RF.


@pytest.mark.parametrize(
    ("code", "vector", "rf"),
    [
        ("0f 0b ; ud2", UD, True),
        ("cc", BP, False),
        ("8b 05 00 00 00 f0", None, False),
        ("f1", DB, False),
        ("0f 30", GP, True),
    ],
)
def test_faults_push_rf_and_traps_do_not(cpu: CpuGuest, code: str, vector: int | None, rf: bool) -> None:
    end = cpu.run(code)
    assert end.vector == vector
    assert bool(end.eflags & RF) == rf


def test_pushf_stores_no_rf(cpu: CpuGuest) -> None:
    target = START + 13
    code = f"68 02 00 01 00 \n 6a 08 \n 68 {target.to_bytes(4, 'little').hex(' ')} \n cf \n 9c \n 5b ; pushf; pop ebx"
    for prologue in ("", arm(0x12345, EXECUTE)):
        shifted = (
            code
            if not prologue
            else code.replace(target.to_bytes(4, "little").hex(" "), (target + ARMED).to_bytes(4, "little").hex(" "))
        )
        assert not cpu.run(prologue + shifted).state.ebx & RF


def test_mov_ss_holds_off_a_step(cpu: CpuGuest) -> None:
    code = "66 b9 10 00 ; mov cx, 10h \n 9c \n 81 0c 24 00 01 00 00 \n 9d \n 8e d1 ; mov ss, cx \n 43 ; inc ebx \n 43"
    end = cpu.run(code)
    assert (end.vector, end.state.ebx, end.offset) == (DB, 1, 4 + 9 + 2 + 1)
