# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: main.py, and one file per verb."""
