# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: one file per verb, found here by name and imported when it is called.

stdout carries what was asked for (the guest's console, a list, JSON), stderr everything else. Errors are one line on
stderr; the exit statuses are in outcome.py.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from cyclopts import App, CycloptsError

from hyperport.errors import HyperportError
from hyperport.outcome import STATUS_INTERNAL, STATUS_OK, STATUS_SIGNAL, STATUS_USAGE, error_status

DESCRIPTION = """Run i386 guests, and see what every port access costs.

`hyperport run demo` runs the guest that is built in. `hyperport fetch debian`, then `hyperport run debian`, gives a
Debian kernel with a shell. `hyperport doctor` says what works on this host."""

VERBS = {
    "run": "hyperport.cli.run:run",
    "compare": "hyperport.cli.compare:compare",
    "list": "hyperport.cli.list:list_",
    "fetch": "hyperport.cli.fetch:fetch",
    "doctor": "hyperport.cli.doctor:doctor",
}

OPTIONAL_VALUES = {"--trace-ports": "--trace-ports=-"}  # an option that may stand alone, and what it means then


def version() -> str:
    """What --version prints."""
    try:
        return f"hyperport {metadata.version('hyperport')}"
    except metadata.PackageNotFoundError:
        return "hyperport, from a source tree that is not installed"


def build_app() -> App:
    """The parser of all verbs."""
    app = App(
        name="hyperport",
        help=DESCRIPTION,
        help_format="markdown",
        version=version,
        suppress_keyboard_interrupt=False,
    )
    for name, where in VERBS.items():
        app.command(where, name=name)
    app.register_install_completion_command()
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (that of the process by default); returns the exit status."""
    tokens = [OPTIONAL_VALUES.get(token, token) for token in (sys.argv[1:] if arguments is None else arguments)]
    try:
        status: Any = build_app()(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(" ".join(str(error).split()) + " See --help.", STATUS_USAGE)
    except HyperportError as error:
        return _fail(str(error), error_status(error))
    except KeyboardInterrupt:
        return STATUS_SIGNAL + signal.SIGINT
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # who read our output has gone: the interpreter's last flush is vain
        return STATUS_SIGNAL + signal.SIGPIPE
    except OSError as error:
        return _fail(f"{error.filename or 'host'}: {error.strerror or error}", error_status(error))
    except Exception:
        traceback.print_exc()
        return STATUS_INTERNAL
    return status if isinstance(status, int) else STATUS_OK


def _fail(message: str, status: int) -> int:
    print(f"hyperport: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
