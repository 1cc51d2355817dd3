# SPDX-License-Identifier: GPL-2.0-or-later
"""The VMI option ROM: guest/rom/vmi.S made into an image that BIOSes and kernels accept."""
