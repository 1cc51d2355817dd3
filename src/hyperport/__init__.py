# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport: a virtual machine monitor for i386 guests that measures every port access."""
