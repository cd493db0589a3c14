"""Programs that end, and what is said where one fails."""

import subprocess
from pathlib import Path


class LabError(Exception):
    """The guest cannot be built, started or talked to; the message says why."""


def run(*command: str | Path, cwd: Path | None = None, what: str = "") -> str:
    """Run a program to its end and return its output; LabError with its last words where it fails."""
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, errors="replace", check=False, timeout=600
    )
    if done.returncode:
        raise LabError(f"{what or command[0]}: exit status {done.returncode}: {done.stderr.strip()[-1500:]}")
    return done.stdout
