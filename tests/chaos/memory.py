"""A plugin for a daemon under test: a verb that tells what it can't do without.

Between two collections of garbage a daemon keeps modules that were reloaded and what commands have left behind, and the C library
keeps what is free in pieces.  That comes and goes; how much it is when anybody looks says nothing about growth.
"""

import ctypes
import gc
from pathlib import Path
from typing import Any

from tgtcore import hookimpl

TGTCORE_API = 1
NAME = "memory"
VERB = "memory needed"


def _needed(_: object) -> dict[str, int]:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # a ring is not counted: as much of it is resident as its driver, which is another one now and then, has used so far
    own = Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]
    return {"bytes": int(own) << 10, "objects": len(gc.get_objects())}


@hookimpl
def tgt_register_admin(commands: Any) -> None:
    """Offer the verb."""
    commands.add(VERB, _needed, help="Tidy up, and show how much memory is in use then.")
