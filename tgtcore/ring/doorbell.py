"""The doorbells: pipes, in which each number announces so many messages.

A pipe has a file description of its own for either end.  One that both sides share, such as an eventfd's, the other side could make
blocking, and so bring this one to a standstill.
"""

import asyncio
import os
import select
import struct

from tgtcore.errors import RingError

COUNT_BYTES = 8
"""Each announcement is a little-endian u64."""
_READ_BYTES = 512 * COUNT_BYTES


def make() -> tuple[int, int]:
    """A doorbell: the end that is heard and the end that is rung.

    :raises OSError: there are no more descriptors.
    """
    return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)


def heard(fd: int) -> int | None:
    """How many messages were announced; None when the other side has let go of its end.

    :raises BlockingIOError: nothing was.
    :raises RingError: what was written are no counts.
    """
    announced = os.read(fd, _READ_BYTES)
    length = len(announced)
    if length == COUNT_BYTES:
        return int.from_bytes(announced, "little")
    if not length:
        return None
    if length % COUNT_BYTES:
        raise RingError(f"{length} bytes came through the doorbell, expected counts of {COUNT_BYTES} bytes")
    counts: tuple[int, ...] = struct.unpack(f"<{length // COUNT_BYTES}Q", announced)
    return sum(counts)


def ring(fd: int, count: int) -> None:
    """Announce messages to a side that always listens soon, or has gone: its socket tells of that."""
    announcement = count.to_bytes(COUNT_BYTES, "little")
    try:
        os.write(fd, announcement)
    except BlockingIOError:
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        poll.poll()
        ring(fd, count)
    except BrokenPipeError:
        pass


class PatientBell:
    """The end that is rung, for a side that waits for nobody: what can't be announced now is announced later.

    :param fd: owned from here on.
    """

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = fd
        self._loop = loop
        self._owed = 0

    def ring(self, count: int) -> None:
        """Announce messages; the socket of the attachment tells when the other side has gone."""
        if self._owed:
            self._owed += count
            return
        try:
            os.write(self._fd, count.to_bytes(COUNT_BYTES, "little"))
        except BlockingIOError:
            self._owed = count
            self._loop.add_writer(self._fd, self._again)
        except BrokenPipeError:
            pass

    def _again(self) -> None:
        self._loop.remove_writer(self._fd)
        owed, self._owed = self._owed, 0
        self.ring(owed)

    def close(self) -> None:
        """Let go of it."""
        if self._owed:
            self._loop.remove_writer(self._fd)
        os.close(self._fd)
