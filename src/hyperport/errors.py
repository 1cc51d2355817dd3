# SPDX-License-Identifier: GPL-2.0-or-later
"""Every error of hyperport, and whose fault it is.

HyperportError
├── HostError               the user, the host or the VMM's configuration is at fault
│   ├── ConfigError         a machine that cannot be built: overlap, unknown name, bad value
│   │   └── UsageError      words of the command line that make no sense
│   ├── ImageError          a kernel, initrd or program that cannot be loaded
│   ├── EngineError         an engine that cannot run here (missing, other build, no permission)
│   ├── FetchError          a guest that could not be fetched
│   ├── OutputError         a file, pipe or stream that takes no more
│   ├── ThreadError         a call from a thread or process that does not have the machine
│   ├── AccessError         an access from Python that no device or memory has
│   └── StateError          a saved record that does not fit
├── DifferenceError         hyperport is at fault: two paths gave a guest different answers
└── GuestError              the guest did what cannot go on; ends the guest, never the VMM

Messages are one line: what, where, what to do. The command line prints them as they are.
"""


class HyperportError(Exception):
    """Base of all errors that hyperport raises on purpose."""


class HostError(HyperportError):
    """The user, the host or the configuration is at fault."""


class ConfigError(HostError):
    """The machine cannot be built as asked."""


class UsageError(ConfigError):
    """What the user wrote cannot be understood."""


class ImageError(HostError):
    """A kernel, initrd or program file cannot be loaded."""


class EngineError(HostError):
    """The engine cannot run on this host."""


class FetchError(HostError):
    """A known guest could not be fetched."""


class OutputError(HostError):
    """The host takes no more of what the guest, or the command, has to say."""


class ThreadError(HostError, RuntimeError):
    """A call from a thread or process that does not have the machine now."""


class AccessError(HostError, ValueError):
    """An access from Python outside what a device or the guest's memory has."""


class StateError(HostError, ValueError):
    """A saved record has fields or values that the device cannot take."""


class DifferenceError(HyperportError):
    """A guest could tell one path from another."""


class GuestError(HyperportError):
    """The guest did something that cannot go on."""
