"""How the command lines end: exit statuses and error messages."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from tgtcore.errors import TgtError
from tgtcore.management.protocol import Code, VerbError, code_of

INTERRUPTED = 130
"""Ended by a second Ctrl-C; as a shell reports it."""

TERMINATED = 143
"""Ended by a second SIGTERM."""


def fail(error: BaseException, *, as_json: bool = False) -> NoReturn:
    """Print an error and exit with its status."""
    code = code_of(error)
    problems = list(getattr(error, "problems", ())) or [_text(error)]
    if as_json:
        sys.stdout.write(
            json.dumps({"error": {"code": code.word, "message": "\n".join(problems), "problems": problems}}) + "\n"
        )
        sys.stdout.flush()
    program = click.get_current_context(silent=True)
    name = program.find_root().info_name if program else "tgtd"
    for problem in problems:
        click.echo(f"{name}: {problem}", err=True)
    sys.exit(code.exit_status)


_GOES_ON = "what the daemon was asked for goes on there"


@contextmanager
def reported(*, as_json: bool = False, interrupted: str = _GOES_ON) -> Iterator[None]:
    """Turn the errors that are made for users into a message and an exit status.

    :param interrupted: what to say after a Ctrl-C.
    """
    try:
        yield
    except (TgtError, OSError) as error:
        fail(error, as_json=as_json)
    except KeyboardInterrupt:
        fail(VerbError(Code.INTERRUPTED, f"interrupted; {interrupted}"), as_json=as_json)


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror.lower()}"
    return str(error) or type(error).__name__


__all__ = ["INTERRUPTED", "TERMINATED", "Code", "fail", "reported"]
