# SPDX-License-Identifier: GPL-2.0-or-later
"""python -m hyperport: the same as the hyperport command."""

from hyperport.cli.main import main

main()
