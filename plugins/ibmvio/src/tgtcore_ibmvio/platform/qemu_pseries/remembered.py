"""What is known of one adapter of a guest, in a file: it outlives a server that ends while the guest uses the adapter."""

import mmap
import os
from contextlib import suppress
from pathlib import Path

from tgtcore_ibmvio.platform.qemu_pseries.window import PAGES

LIFE, WANTS_INTERRUPTS, QUEUE = 0, 1, slice(2, 6)
"""Which run of QEMU all this is about; whether the client wants interrupts; its queue, as :class:`ClientQueue` keeps it."""

_HEAD = 8
_WORDS = _HEAD + PAGES


class Remembered:
    """The file, mapped: numbers of 64 bits, first a few, then the entries of the DMA window.

    The guest does nothing that would change them while nobody is there, for it stands still at its first call.

    :param path: of the file, which is made when it is missing.
    :param life: tells one run of QEMU from another; what is remembered of another is forgotten.
    :raises OSError: it can't be made or used.
    """

    def __init__(self, path: Path, life: int) -> None:
        self._path = path
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size != 8 * _WORDS:
                os.ftruncate(file, 0)
                os.ftruncate(file, 8 * _WORDS)
            self._mapped = mmap.mmap(file, 0)
        finally:
            os.close(file)
        words = memoryview(self._mapped).cast("Q")
        self.head = words[:_HEAD]
        self.entries = words[_HEAD:]
        if self.head[LIFE] != life:
            self._mapped[:] = bytes(len(self._mapped))
            self.head[LIFE] = life

    def forget(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            self._path.unlink()
