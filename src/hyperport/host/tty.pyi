# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.host.char import FdBackend

class TtyBackend(FdBackend):
    modem: bool
    speed: int
    def __init__(self, fd: int, where: str | None = None) -> None: ...
    @staticmethod
    def flags_of(lcr: int) -> int: ...
