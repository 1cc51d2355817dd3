# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: the verbs stand as rows in options.py, and a verb's file is imported when it is called.

stdout carries what was asked for (the guest's console, a list, JSON), stderr everything else. Errors are one line on
stderr; the exit statuses are in outcome.py.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from hyperport.errors import HostError, HyperportError, UsageError
from hyperport.supported_host import unsupported

STATUS_OK = 0


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
    status = function(*words, **given)
    return status if isinstance(status, int) else STATUS_OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (that of the process by default); returns the exit status."""
    try:
        if reason := unsupported():
            raise HostError(reason)
        status = obey(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except HyperportError as error:
        return _fail(str(error), _status(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # who read our output has gone: the interpreter's last flush is vain
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _fail(f"{error.filename or 'host'}: {error.strerror or error}", _status(error))
    except Exception as error:
        import traceback

        traceback.print_exc()
        return _status(error)
    return status


def _status(error: BaseException) -> int:
    from hyperport.outcome import error_status

    return error_status(error)


def _fail(message: str, status: int) -> int:
    print(f"hyperport: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
