# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest programs that mean harm, generated: programs.py makes them, machines.py runs them."""
