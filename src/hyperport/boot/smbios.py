# SPDX-License-Identifier: GPL-2.0-or-later
"""The SMBIOS tables that firmware leaves for a system: what the machine is called (SMBIOS 2.8, DSP0134).

SeaBIOS takes them from two files of fw_cfg, adds a structure of its own about the BIOS, and puts the address and the
checksums in.
"""

from __future__ import annotations

import struct
from typing import Final

ANCHOR_FILE: Final = "etc/smbios/smbios-anchor"
TABLES_FILE: Final = "etc/smbios/smbios-tables"
SYSTEM: Final = 1  # types of structures
END: Final = 127
VERSION: Final = (2, 8)
ENTRY_POINT: Final = struct.Struct("<4sBBBBHB5s5sBHIHB")  # 5.2.1, table 1
WOKEN_BY_POWER: Final = 6


def structure(kind: int, handle: int, fields: bytes, *strings: str) -> bytes:
    """One structure: its header, fields, and the strings that fields name by 1, 2 and so on (6.1)."""
    texts = b"".join(text.encode("ascii") + b"\0" for text in strings) or b"\0"
    return struct.pack("<BBH", kind, 4 + len(fields), handle) + fields + texts + b"\0"


def files() -> dict[str, bytes]:
    """The files of fw_cfg by name."""
    # manufacturer, product, version and serial number (strings), UUID, wake-up type, SKU and family (strings): 7.2
    system = structure(
        SYSTEM, SYSTEM, struct.pack("<4B16s3B", 1, 2, 0, 0, bytes(16), WOKEN_BY_POWER, 0, 0), "hyperport", "ISA PC"
    )
    structures = [system, structure(END, END, b"")]
    tables = b"".join(structures)
    largest, count = max(map(len, structures)), len(structures)
    anchor = ENTRY_POINT.pack(
        *(b"_SM_", 0, ENTRY_POINT.size, *VERSION, largest, 0, bytes(5)),
        *(b"_DMI_", 0, len(tables), 0, count, VERSION[0] << 4 | VERSION[1]),
    )
    return {ANCHOR_FILE: anchor, TABLES_FILE: tables}
