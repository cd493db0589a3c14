"""A store, as a plugin that a daemon under test loads, whose first write of "A" takes until a file is there.

Files of the folder that it runs in: ``held``: the write has begun; ``go``: it may go on; ``landed``: it is done.
"""

import time
from pathlib import Path
from typing import Any

from support.worker_file import WorkerFile

from tgtcore import Buffer, hookimpl

TGTCORE_API = 1
NAME = "late"


class LateFile(WorkerFile):
    """The image file."""

    _held = False

    def write(self, offset: int, data: Buffer) -> None:
        """The first "A" late."""
        late = not self._held and bytes(data[:1]) == b"A"
        if late:
            self._held = True
            Path("held").touch()
            while not Path("go").exists():
                time.sleep(0.01)
        super().write(offset, data)
        if late:
            Path("landed").touch()


@hookimpl
def tgt_register_stores(registry: Any) -> None:
    """Offer it."""
    registry.store("late-file", LateFile)
