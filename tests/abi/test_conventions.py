# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for every convention, and the answers that KVM's and lguest's callers know."""

from __future__ import annotations

import pytest

from hyperport.abi import CONVENTIONS, conventions, kvm
from hyperport.abi.convention import Action, Convention
from hyperport.abi.numbers import PORT_CALLS
from hyperport.cpu import cpuid
from hyperport.errors import ConfigError


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_every_convention(convention: Convention) -> None:
    assert sorted(call.number for call in convention.ports.values()) == [call.number for call in PORT_CALLS]
    assert not set(convention.ports) & set(convention.calls)
    assert all(1 <= len(code) <= 3 for code in convention.instructions)
    answers = [*convention.calls.values(), *filter(None, (convention.unknown, convention.forbidden))]
    for answer in answers:
        assert (answer.action == Action.KILL) == bool(answer.reason)
        assert answer.action != Action.PORT_IO
        assert answer.result is None or -(1 << 31) <= answer.result < 1 << 31


def test_private_numbers() -> None:
    for name in ("kvm", "lguest"):
        assert CONVENTIONS[name].ports[0x48500000 + 50].name == "INB"
    assert CONVENTIONS["vmi"].ports[50].name == "INB"


def test_kvm_answers() -> None:
    convention = CONVENTIONS["kvm"]
    known = {number: answer.result for number, answer in convention.calls.items()}
    assert known == {1: 0, 5: 0, 9: -95, 11: 0}
    assert {answer.action for answer in convention.calls.values()} == {Action.NOTHING}
    assert convention.unknown is not None
    assert convention.unknown.result == -1000
    assert convention.forbidden is not None
    assert (convention.highest_cpl, convention.forbidden.result) == (0, -1)
    assert convention.instructions == (b"\x0f\x01\xc1", b"\x0f\x01\xd9")


def test_kvm_leaves() -> None:
    leaves = kvm.cpuid_leaves()
    assert leaves[0x40000000] == (0x40000001, 0x4B4D564B, 0x564B4D56, 0x4D)
    assert leaves[0x40000001] == (2, 0, 0, 0)
    assert leaves[0x40000100][0] == 0x40000101
    assert b"".join(word.to_bytes(4, "little") for word in leaves[0x40000100][1:]) == b"HyperportIO "
    assert leaves[0x40000101] == (0x48500000, 1, 0, 0)
    assert not set(leaves) & set(cpuid.leaves())


def test_lguest_answers() -> None:
    convention = CONVENTIONS["lguest"]
    served = {number: answer.action for number, answer in convention.calls.items() if answer.action != Action.KILL}
    assert served == {
        0: Action.NOTHING,
        2: Action.SHUTDOWN,
        5: Action.FLUSH_TLB,
        8: Action.SET_TS,
        10: Action.HALT,
        19: Action.NOTHING,
    }
    assert "SET_PTE" in convention.calls[14].reason
    assert convention.unknown is not None
    assert convention.unknown.action == Action.KILL
    assert convention.instructions == (b"\xcd\x1f",)
    assert (convention.highest_cpl, convention.forbidden) == (1, None)


def test_choosing_by_name() -> None:
    assert [found.name for found in conventions(["lguest", "vmi", "vmi"])] == ["vmi", "lguest"]
    assert conventions([]) == ()
    with pytest.raises(ConfigError, match=r"'xen'.*vmi, kvm, lguest"):
        conventions(["kvm", "xen"])
