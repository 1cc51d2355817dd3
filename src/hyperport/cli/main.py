# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: the verbs stand as rows in options.py, and a verb's file is imported when it is called.

stdout carries what was asked for (the guest's console, a list, JSON), stderr everything else. Errors are one line on
stderr; the exit statuses are in outcome.py.
"""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from hyperport.cli import collect_from_here
from hyperport.errors import HostError, HyperportError, UsageError
from hyperport.host import streams
from hyperport.host.notes import note, tell
from hyperport.supported_host import unsupported

STATUS_OK: Final = 0
STATUS_INTERNAL: Final = 70  # EX_SOFTWARE, as in outcome.py
DEVICE_NOTE: Final = "hyperport: device "  # as in bus/python_device.pyx, which is not imported for this
NOT_TAKEN: Final = (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO, errno.EAGAIN, errno.EFBIG, errno.EDQUOT)
STARTS_LATE: Final = "run"  # the verb that imports most; it calls collect_from_here() itself
PACKAGE: Final = Path(__file__).parents[1]


def version() -> str:
    """What --version prints."""
    from importlib import metadata

    try:
        return f"hyperport {metadata.version('hyperport')}"
    except metadata.PackageNotFoundError:
        return "hyperport, from a source tree that is not installed"


def obey(tokens: Sequence[str]) -> int:
    """Do what the words of a command line say; returns the exit status."""
    from hyperport.cli.options import COMPLETE, INSTALL, VERBS
    from hyperport.cli.parser import help_of, overview, parse

    first = tokens[0] if tokens else "--help"
    if first in ("-h", "--help"):
        print(overview(), end="")
        return STATUS_OK
    if first == "--version":
        print(version())
        return STATUS_OK
    if first in (COMPLETE, INSTALL):
        from hyperport.cli.completion import complete, install

        return complete(tokens[1:]) if first == COMPLETE else install(tokens[1:])
    if first not in VERBS:
        kind = "option" if first.startswith("-") else "verb"
        raise UsageError(f"Unknown {kind}: {first}; verbs are {', '.join(VERBS)}. See --help.")
    verb = VERBS[first]
    parsed = parse(verb, tokens[1:])
    if parsed is None:
        print(help_of(first, verb), end="")
        return STATUS_OK
    words, given = parsed
    module, _, name = verb.where.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if first != STARTS_LATE:
        collect_from_here()
    status = function(*words, **given)
    return status if isinstance(status, int) else STATUS_OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (that of the process by default); returns the exit status."""
    streams.reserve()
    try:
        if reason := unsupported():
            raise HostError(reason)
        status = obey(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException as error:
        return _fail(error)
    return status


def _fail(error: BaseException) -> int:
    """Tell of what ended the command; returns its exit status."""
    verbose = not {"-v", "--verbose"}.isdisjoint(sys.argv)
    if _is_of_device(error):
        _tell_of_device(error, verbose=verbose)
        return STATUS_INTERNAL
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, HyperportError):
        note(str(error))
    elif isinstance(error, MemoryError):
        note(f"{error or 'the host has no memory left'}: give the machine less, or end other programs")
    elif isinstance(error, OSError):
        if error.filename is None and error.errno in NOT_TAKEN:  # nothing but a stream has no name
            streams.abandon(streams.STDOUT)
            if isinstance(error, BrokenPipeError):  # who read our output has gone, as head(1) does
                return 128 + signal.SIGPIPE
        note(f"{error.filename or 'stdout'}: {error.strerror or error}")
    elif _was_interrupted(error):
        return 128 + signal.SIGINT
    else:
        import traceback

        tell("".join(traceback.format_exception(error)).rstrip("\n"))
    return _status(error)


def _was_interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is behind it: some code makes an error of its own of it, as CPython 3.11 in class bodies."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__cause__ or behind.__context__
    return behind is not None


def _is_of_device(error: BaseException) -> bool:
    """Whether a device of the user's raised it: then bus/python_device.pyx has said where, in a note."""
    return any(line.startswith(DEVICE_NOTE) for line in getattr(error, "__notes__", ()))


def _tell_of_device(error: BaseException, *, verbose: bool) -> None:
    """The user's frames, the error, and where it was; with verbose our frames as well."""
    import traceback

    frames = error.__traceback__
    while frames is not None and not verbose and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    tell("".join(traceback.format_exception(type(error), error, frames)).rstrip("\n"))


def _is_ours(path: str) -> bool:
    """Whether code of this file is hyperport's."""
    return path.endswith((".pyx", ".pxd")) or path.startswith(str(PACKAGE))


def _status(error: BaseException) -> int:
    from hyperport.outcome import error_status

    return error_status(error)


if __name__ == "__main__":
    sys.exit(main())
