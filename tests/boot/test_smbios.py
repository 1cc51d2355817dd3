# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from hyperport.boot import smbios


def test_the_tables_are_what_the_entry_point_says() -> None:
    files = smbios.files()
    anchor, tables = files[smbios.ANCHOR_FILE], files[smbios.TABLES_FILE]
    assert len(anchor) == smbios.ENTRY_POINT.size == 31
    fields = smbios.ENTRY_POINT.unpack(anchor)
    largest, length, count = fields[5], fields[10], fields[12]
    assert (fields[0], fields[8], length) == (b"_SM_", b"_DMI_", len(tables))
    assert (fields[2:5], fields[13]) == ((len(anchor), 2, 8), 0x28)  # its length, and the version twice
    assert (fields[1], fields[9], fields[11]) == (0, 0, 0)  # checksums and the address, which SeaBIOS puts in
    found, at = [], 0
    while at < len(tables):  # as DSP0134, 6.1: a formatted area, then strings up to two zeros
        kind, size = tables[at], tables[at + 1]
        end = tables.index(b"\0\0", at + size) + 2
        found.append((kind, tables[at + size : end - 2].split(b"\0")))
        assert end - at <= largest
        at = end
    assert found == [(smbios.SYSTEM, [b"hyperport", b"ISA PC"]), (smbios.END, [b""])]
    assert len(found) == count
    # 7.2: manufacturer and product by number, no version, serial or UUID, woken by the power switch, no SKU or family
    assert tables[4:27] == bytes([1, 2, 0, 0]) + bytes(16) + bytes([6, 0, 0])
