"""What stands in for the parts of an image that is not in its file any more: every access fails, and says why."""

import errno
from collections.abc import Iterator
from typing import NoReturn

from tgtcore import Buffer, Extent
from tgtcore_cow.qcow2.reading import Piece, Reading
from tgtcore_cow.qcow2.snapshot_table import Snapshot
from tgtcore_cow.qcow2.snapshots import Snapshots
from tgtcore_cow.qcow2.volume import Volume
from tgtcore_cow.qcow2.write_back import WriteBack


class LostReading(Reading):
    """Reads nothing.

    :param why: the reason, for messages.
    """

    def __init__(self, volume: Volume, why: str) -> None:
        super().__init__(volume)
        self._why = why

    def read(self, offset: int, length: int) -> Buffer:
        """Fails, as do the others.

        :raises OSError: EIO, always.
        """
        _fail(self._why)

    def read_in_use(self, offset: int, length: int) -> Buffer:
        """As above."""
        _fail(self._why)

    def read_nowait(self, offset: int, length: int) -> None:
        """Nothing can be had without waiting."""

    def pieces(self, offset: int, length: int) -> Iterator[Piece]:
        """As above."""
        _fail(self._why)

    def extents(self, offset: int, length: int) -> list[Extent]:
        """As above."""
        _fail(self._why)


class LostSnapshots(Snapshots):
    """Finds none.

    :param why: the reason, for messages.
    """

    def __init__(self, volume: Volume, write_back: WriteBack, why: str) -> None:
        super().__init__(volume, write_back)
        self._why = why

    @property
    def every(self) -> tuple[Snapshot, ...]:
        """Fails.

        :raises OSError: EIO, always.
        """
        _fail(self._why)


def _fail(why: str) -> NoReturn:
    raise OSError(errno.EIO, f"there is no image any more: {why}")
