"""Showing on standard error how a verb that waits gets on: one line that changes on a terminal, else one line each time."""

import json
import shutil
import sys
from typing import Any

import click

from tgtcore.cli.output import plain

_BAR_CHARACTERS = 20
_GIB = 1 << 30
_ERASE = "\r\x1b[K"


class Progress:
    """Takes what the daemon says, until the end of a ``with`` block.

    :param as_json: one JSON object in each line, for programs.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._live = sys.stderr.isatty() and not as_json
        self._shown = False

    def __call__(self, progress: dict[str, Any]) -> None:
        """Show it."""
        if self._as_json:
            click.echo(json.dumps({"progress": progress}), err=True)
        elif "plan" in progress and progress["what"]:
            click.echo((_ERASE if self._shown else "") + line(progress), err=True)
            self._shown = False
        elif self._live:
            width = shutil.get_terminal_size().columns - 1
            click.echo(_ERASE + line(progress)[:width], err=True, nl=False)
            self._shown = True
        else:
            click.echo(line(progress), err=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            click.echo(_ERASE, err=True, nl=False)


def line(progress: dict[str, Any]) -> str:
    """Progress in a line."""
    shown = next((shown for key, shown in _LINES.items() if key in progress), _departure_line)
    return plain(shown(progress))


def _plan_line(progress: dict[str, Any]) -> str:
    where = f"{progress['at_s']:7.1f} s  step {progress['done']} of {progress['steps']}"
    if not progress["what"]:
        return f"{where}, the next one in {progress['next_in_s']:.0f} s"
    outcome = progress["outcome"]
    told = "" if outcome is None else f": {json.dumps(outcome, default=str)}"
    return f"{where}  {progress['unit']}  {progress['what']}{told}"


def _departure_line(progress: dict[str, Any]) -> str:
    holders = [f"{one['holder']} ({one['age_s']:.0f} s)" for one in progress["holders"]]
    more = progress["count"] - len(holders)
    users = ", ".join(holders) + (f" and {more} more" if more > 0 else "")
    left_s = progress["left_s"]
    when = f"{left_s:.0f} s left" if left_s else "what waits is aborted"
    return f"{progress['thing']} is {progress['state']}, {when}; in use by: {users or 'nobody'}"


def _copy_line(progress: dict[str, Any]) -> str:
    done, total, age_s = progress["done_bytes"], progress["total_bytes"], progress["age_s"]
    share = done / total if total else 1.0
    filled = int(share * _BAR_CHARACTERS)
    bar = "#" * filled + "." * (_BAR_CHARACTERS - filled)
    left = f", about {age_s / share - age_s:.0f} s left" if share else ""
    return f"[{bar}] {share:.0%} of {total / _GIB:.1f} GiB{left}: {progress['thing']} is {progress['state']}"


_LINES = {"plan": _plan_line, "done_bytes": _copy_line}
"""What shows progress that has a key."""
