# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person sees and types: console, terminal, keyboard, screen, pictures."""
