# SPDX-License-Identifier: GPL-2.0-or-later
"""What every engine does in the same way."""
