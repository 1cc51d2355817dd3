# SPDX-License-Identifier: GPL-2.0-or-later
"""The first law of the project: everything the guest can see is identical on all paths, and what qemu's TCG shows.

programs.py makes guest programs, guest/programs/lawguest.c runs them, machines.py runs that under qemu and on our
paths, and differences.py compares what came out. docs/decisions/0012-first-law-oracle.md says why it is so.
"""
