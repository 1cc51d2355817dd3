# SPDX-License-Identifier: GPL-2.0-or-later
"""A device in plain Python that does next to nothing: what it costs is the way to it."""

from hyperport import Device


class Registers(Device):
    span = 1
    stateless = True

    def read(self, offset: int, size: int) -> int:
        return 1

    def write(self, offset: int, size: int, value: int) -> None:
        pass
