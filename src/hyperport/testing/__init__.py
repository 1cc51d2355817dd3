# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests of drivers and devices: machines to script, guests from C source, and a fuzzer. See docs/testing.md."""
