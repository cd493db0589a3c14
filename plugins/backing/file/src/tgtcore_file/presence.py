"""What others do to an image file while it is in use: locks are advisory, so they can."""

import errno
import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)


class Presence:
    """Whether an open image file is still what it was.

    :param path: of the file, for messages.
    """

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._found = os.fstat(fd).st_nlink > 0

    def leave(self) -> None:
        """The file is deleted on purpose: no more warnings."""
        self._found = False

    def check(self, size_bytes: int) -> None:
        """Return if the file is long enough; warn, once, if it has been deleted or another one has taken its place.

        :raises OSError: EIO, it has become shorter: what was written beyond its end is gone.
        """
        status = os.fstat(self._fd)
        if self._found and not status.st_nlink:
            self._found = False
            _log.warning(
                "%s was deleted or replaced while in use: what initiators write is lost when the daemon lets go of it",
                self._path,
            )
        if status.st_size < size_bytes:
            raise shortened(self._path, status.st_size, size_bytes)


def shortened(path: Path, end: int, expected: int) -> OSError:
    """The error for a file that ends too early."""
    return OSError(errno.EIO, f"{path} ends at byte {end}, expected {expected} bytes: it was made shorter while in use")
