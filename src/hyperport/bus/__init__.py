# SPDX-License-Identifier: GPL-2.0-or-later
"""The port bus, the device contract, interrupt lines and what may stop the vCPU."""
