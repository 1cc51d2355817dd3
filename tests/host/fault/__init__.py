# SPDX-License-Identifier: GPL-2.0-or-later
"""Host-fault injection: every host call of a backend fails once at every point. Start with harness.py."""
