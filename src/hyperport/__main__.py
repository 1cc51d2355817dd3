# SPDX-License-Identifier: GPL-2.0-or-later
"""python -m hyperport: the same as the hyperport command."""

import sys

from hyperport.cli.main import main

sys.exit(main())
