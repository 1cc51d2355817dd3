# SPDX-License-Identifier: GPL-2.0-or-later
"""What the core gets wrong of the CPU, mended: see mend.pyx and docs/decisions/0026-mending-the-core.md."""
