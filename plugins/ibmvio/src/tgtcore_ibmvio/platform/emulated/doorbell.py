"""Doorbells: pipes whose bytes say only that there may be something in a queue.

A pipe has a file description of its own for either end.  One that both sides share, such as an eventfd's, the other side could make
blocking, and so bring this one to a standstill.
"""

import os

_READ_BYTES = 4096


def make() -> tuple[int, int]:
    """A doorbell: the end that is heard and the end that is rung.

    :raises OSError: there are no more descriptors.
    """
    return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)


def ring(fd: int) -> None:
    """Ring it; whoever has not heard it so often that the pipe is full is going to, and whoever has gone is missed elsewhere."""
    try:
        os.write(fd, b"\1")
    except (BlockingIOError, BrokenPipeError):
        return


def hear(fd: int) -> bool:
    """Take what was rung; False: nobody can ring any more."""
    try:
        return bool(os.read(fd, _READ_BYTES))
    except BlockingIOError:
        return True
