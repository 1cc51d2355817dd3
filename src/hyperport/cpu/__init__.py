# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts about the i386: registers, CPUID."""
