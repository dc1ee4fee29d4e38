"""
The entry of ``antiphon``: parse, run one command, turn errors into messages and exit codes.

Exit codes: 0 for done, 1 for a failure, 2 for a mistake in the configuration or the command line. Data goes to stdout,
errors to stderr. Commands are imported when they are called, so that ``--help`` is instant.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from antiphon.cli.arguments import Command, parse
from antiphon.cli.errors import CommandFailed, ConfigurationError
from antiphon.cli.terminal import Terminal
from antiphon.hub.errors import AntiphonError, InvalidRequest, KeysUnavailable
from antiphon.settings import AccessRefused, SettingsError

__all__ = ["EXIT_CONFIGURATION", "EXIT_FAILURE", "main"]

EXIT_FAILURE = 1
EXIT_CONFIGURATION = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line. Returns the process's exit code."""
    command = parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    errors = Terminal(sys.stderr)
    try:
        return _run(command)
    except SettingsError as error:
        for problem in error.problems:
            errors.problem(str(problem))
        return EXIT_CONFIGURATION
    except (ConfigurationError, AccessRefused) as error:
        errors.problem(str(error))
        return EXIT_CONFIGURATION
    except CommandFailed as error:
        errors.problem(str(error))
        return EXIT_FAILURE
    except (KeysUnavailable, InvalidRequest) as error:
        errors.problem(error.message)
        return EXIT_CONFIGURATION
    except AntiphonError as error:
        errors.problem(error.message)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE


def _run(command: Command) -> int:
    # Each is imported when it is called: see the module's docstring.
    match command.name.partition(" ")[0]:
        case "serve":
            from antiphon.cli.serve import serve as run  # noqa: PLC0415
        case "check":
            from antiphon.cli.check import check as run  # noqa: PLC0415
        case "demo":
            from antiphon.cli.demo import demo as run  # noqa: PLC0415
        case "tenants":
            from antiphon.cli.tenants import tenants as run  # noqa: PLC0415
        case "keys":
            from antiphon.cli.keys import keys as run  # noqa: PLC0415
        case "audit":
            from antiphon.cli.audit import audit as run  # noqa: PLC0415
        case _:
            from antiphon.cli.store import store as run  # noqa: PLC0415
    return run(command)
