"""``tgtd`` that leaves its exit status, and whose successors are made from the Python that is awake already."""

import os
import sys
from pathlib import Path

from tgtcore.cli.tgtd import main as tgtd

ENDED = "/run/lab/ended"
"""With the number of a process behind it: a file with the exit status, once it has ended by itself."""


def main() -> None:
    """Be the daemon."""
    sys.orig_argv = ["awake", __name__, main.__name__, *sys.argv[1:]]
    ended = status_file()
    ended.unlink(missing_ok=True)
    leave_status(ended)


def status_file() -> Path:
    """Where this process leaves its exit status."""
    return Path(f"{ENDED}{os.getpid()}")


def leave_status(ended: Path) -> None:
    """Be the daemon, and write down its exit status."""
    try:
        tgtd()
    except SystemExit as left:
        ended.write_text(str(left.code))
        raise
