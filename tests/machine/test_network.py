# SPDX-License-Identifier: GPL-2.0-or-later
"""Network cards of a machine: where they sit, whose cables they have, what a mistake is told."""

from __future__ import annotations

import pytest

from hyperport import ConfigError, Hub, Machine, NetSpec, VirtualClock
from hyperport.errors import UsageError
from hyperport.host.specs import parse_net
from hyperport.machine.board import net_place

START = ((0x30E, 0x48), (0x300, 0x21), (0x30D, 0), (0x30C, 0x10), (0x300, 0x22))
MAC = bytes.fromhex("02687000aa01")


def machine(*net: NetSpec, hub: Hub | None = None) -> Machine:
    return Machine(net=net, cables=[hub.port() for _ in net] if hub else [], clock=VirtualClock())


def test_cards_have_their_usual_places() -> None:
    with machine(*(NetSpec() for _ in range(4))) as built:
        cards = [(first, last) for first, last, name in built.bus.map() if name == "ne2000"]
        assert cards == [(0x280, 0x29F), (0x300, 0x31F), (0x320, 0x33F), (0x340, 0x35F)]
        assert [line for line, owner in built.board.lines.owners.items() if owner == "ne2000"] == [9, 10, 11, 5]


def test_places_can_be_given() -> None:
    with machine(NetSpec(base=0x240, irq=7, mac=MAC)) as built:
        assert built.bus.owner(0x25F) == "ne2000"
        assert built.board.lines.owners[7] == "ne2000"
        built.bus.outp(0x24E, 1, 0x48)
        for register, value in ((10, 12), (11, 0), (8, 0), (9, 0), (0, 0x0A)):
            built.bus.outp(0x240 + register, 1, value)
        assert built.bus.inp_block(0x250, 1, 12)[::2] == MAC


def test_a_fifth_card_needs_a_place() -> None:
    with pytest.raises(ConfigError, match=r"network card 5: .* give io= and irq="):
        machine(*(NetSpec() for _ in range(5)))


def test_cards_in_each_others_way() -> None:
    with pytest.raises(ConfigError, match="port 0x310 belongs to ne2000"):
        machine(NetSpec(), NetSpec(base=0x310))
    with pytest.raises(ConfigError, match="irq 9 belongs to ne2000"):
        machine(NetSpec(), NetSpec(irq=9))


def test_more_cables_than_cards() -> None:
    with pytest.raises(ConfigError, match="1 cables for 0 network cards"):
        Machine(cables=[Hub().port()], clock=VirtualClock())


def test_the_ends_of_a_cable_have_different_addresses() -> None:
    addresses = {net_place(NetSpec(kind=kind), number)[2] for kind in ("listen", "socket") for number in range(3)}
    assert len(addresses) == 6
    assert all(address[0] == 2 for address in addresses)


def test_a_frame_from_the_hub_raises_the_line() -> None:
    hub = Hub()
    peer = hub.port()
    with machine(NetSpec(), hub=hub) as built:
        for port, value in START:
            built.bus.outp(port, 1, value)
        for register, value in ((1, 0x46), (2, 0x60), (3, 0x5F), (7, 0xFF), (15, 0x01)):
            built.bus.outp(0x300 + register, 1, value)
        built.bus.outp(0x300, 1, 0x62)
        built.bus.outp(0x307, 1, 0x46)
        built.bus.outp(0x300, 1, 0x22)
        peer.emit(bytes(60))
        built.engine.look_up()
        assert built.bus.inp(0x307) & 1
        built.bus.outp(0x4D1, 1, 0)
        built.bus.outp(0xA0, 1, 0x0A)
        assert built.bus.inp(0xA0) & 2, "request 9 at the second PIC"


def test_cards_are_saved_with_the_machine() -> None:
    with machine(NetSpec(), NetSpec()) as built:
        records = built.save_devices()
        assert {"ne2000", "ne2000.2"} <= set(records)
        built.load_devices(records)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("user", NetSpec(kind="user")),
        ("none,mac=02:68:70:00:aa:01,io=0x320,irq=10", NetSpec(mac=MAC, base=0x320, irq=10)),
        ("tap=tap0,paced=no", NetSpec(kind="tap", target="tap0", paced=False)),
        ("socket=a/b", NetSpec(kind="socket", target="a/b")),
        ("user,tcp=22:22,udp=53", NetSpec(kind="user", passt=("--tcp-ports", "22:22", "--udp-ports", "53"))),
    ],
)
def test_what_is_written(text: str, spec: NetSpec) -> None:
    assert parse_net(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hub",
        "user=x",
        "tap",
        "tap=",
        "tap=sixteen-letters-",
        "socket",
        "none,mac=1",
        "none,mac=01:00:00:00:00:01",
        "none,io=x",
        "none,io=0x10000",
        "none,irq=16",
        "none,paced=maybe",
        "none,pcap",
        "none,tcp=1:1",
        "none,color=red",
        "none,irq=5,irq=6",
    ],
)
def test_nonsense_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_net(text)
    assert "\n" not in str(caught.value)
