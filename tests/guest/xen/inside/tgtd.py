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
    ended = Path(f"{ENDED}{os.getpid()}")
    ended.unlink(missing_ok=True)
    try:
        tgtd()
    except SystemExit as left:
        ended.write_text(str(left.code))
        raise
