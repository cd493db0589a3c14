"""A command that came over a ring."""

import errno
import logging
import os
from typing import TYPE_CHECKING

from tgtcore.scsi import asc
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.store import Region
from tgtcore.task import Task

if TYPE_CHECKING:
    from tgtcore.isolation.attendant import Attendant

_log = logging.getLogger(__name__)


class RingTask(Task):
    """A task that came in a COMMAND; its tag is the request's id."""

    attendant: "Attendant"
    room: memoryview
    """Where data-in goes."""
    awaited = 0
    """How many bytes of data-out the driver was asked for and has not brought."""
    accepts_region = True

    def done(self) -> None:
        """Tell the driver."""
        self.attendant.ended(self)

    def want_data(self) -> None:
        """Ask the driver."""
        self.awaited = min(self.wanted_out, self.expected_out)
        self.attendant.want_data(self)

    def place_data_in(self) -> int:
        """Put data-in where the driver wants it; returns how much there is."""
        data = self.data_in
        if data is None or not self.responds:
            return 0
        length = len(data)
        room = self.room[:length]
        if isinstance(data, Region):
            if not _read(data, room):
                self.status, self.sense = Status.CHECK_CONDITION, _UNREADABLE
                return 0
        else:
            room[:] = memoryview(data)[: len(room)]
        return length


_UNREADABLE = Sense(SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR).fixed()


def _read(region: Region, room: memoryview) -> bool:
    """Read a region that was in memory a moment ago; False: it can't be read, or its file has become shorter."""
    done = 0
    while done < len(room):
        try:
            count = _read_some(region.fd, room[done:], region.offset + done)
        except OSError as error:
            _log.error("a read that was accepted has failed: %s", error)
            return False
        if not count:
            return False
        done += count
    return True


def _read_some(fd: int, room: memoryview, offset: int) -> int:
    """Read what there is without waiting, or wait if that is nothing.

    :raises OSError: it can't be read.
    """
    try:
        return os.preadv(fd, [room], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP):
            raise
        return os.preadv(fd, [room], offset)
