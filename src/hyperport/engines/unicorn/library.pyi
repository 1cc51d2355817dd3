# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

WANTED: str
ADVICE: str

def library_path() -> Path: ...
