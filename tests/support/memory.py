"""A plugin for a daemon under test: a verb that tells what it can't do without.

Between two collections of garbage a daemon keeps modules that were reloaded and what commands have left behind, and the C library
keeps what is free in pieces, for each thread others.  That comes and goes; how much it is when anybody looks says nothing about
growth.
"""

import ctypes
import gc
import sys
from pathlib import Path
from typing import Any

from tgtcore import hookimpl

TGTCORE_API = 1
NAME = "memory"
VERB = "memory needed"
_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
"""Of the structure that mallinfo2(3) gives."""


class _MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS.split()]


def needed(_: object = None) -> dict[str, int]:
    """Tidy up, and tell how much memory this process uses then."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _MallInfo
    gc.collect()
    libc.malloc_trim(0)
    heap = libc.mallinfo2()
    # a ring is not counted: as much of it is resident as its driver, which is another one now and then, has used so far
    resident = Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]
    return {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "allocated": heap.uordblks + heap.hblkhd,
        "resident": int(resident) << 10,
    }


@hookimpl
def tgt_register_admin(commands: Any) -> None:
    """Offer the verb."""
    commands.add(VERB, needed, help="Tidy up, and show how much memory is in use then.")
