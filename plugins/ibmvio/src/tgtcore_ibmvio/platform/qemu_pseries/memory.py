"""A guest's memory, which QEMU keeps in a file that others may map."""

import errno
import mmap
from contextlib import suppress
from pathlib import Path


class GuestMemory:
    """The file, mapped whole.

    :raises OSError: there is no such file, or it is empty.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            try:
                self._mapped = mmap.mmap(file.fileno(), 0)
            except ValueError:
                raise OSError(errno.EINVAL, "the guest's memory is an empty file", str(path)) from None
        self.view = memoryview(self._mapped)
        """From the guest's real address 0 on."""

    def close(self) -> None:
        """Give it back; pieces that somebody still has keep it mapped."""
        self.view.release()
        with suppress(BufferError):
            self._mapped.close()
