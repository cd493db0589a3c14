"""Flushing one open file, without forgetting a failure.

After a failed fdatasync(2) Linux drops the pages that it could not write and reports the error once: the next call would
succeed although acknowledged data is gone.
"""

import errno
import os
from pathlib import Path


class Durability:
    """Whether what was written to an open file can still be promised to last.

    :param path: of the file, for messages.
    """

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._lost: str | None = None

    def check(self) -> None:
        """Return if no flush has failed yet.

        :raises OSError: EIO, one has.
        """
        if self._lost:
            raise OSError(
                errno.EIO,
                f"{self._path}: an earlier flush failed ({self._lost}) and writes may be lost; check it and open it again",
            )

    def lose(self, error: OSError) -> None:
        """Remember that writes were lost."""
        self._lost = error.strerror or str(error)

    def flush(self) -> None:
        """Make all earlier writes durable.

        :raises OSError: they may not be; every later call fails as well.
        """
        self.check()
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self.lose(error)
            raise
        self.check()  # another thread's call may have been told of the loss of our writes
