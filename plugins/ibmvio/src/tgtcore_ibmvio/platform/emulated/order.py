"""The order in which both sides see what is written to memory that they share.

The queues need a machine that keeps stores in order, and loads in order (total store order): an element's first bytes are written
last, and a slot is given back after its element was read.  What such machines do not keep by themselves is a load behind a store to
another place; that takes a barrier on either side, between "I have put something there" and "does the other side sleep?".
"""

import errno
import platform
from threading import Lock

_ORDERLY = {"x86_64", "AMD64"}
"""Machines that keep the order, store 8 bytes at once, and are little-endian as the words in the memory are."""


def require_order() -> None:
    """Make sure that this machine is one that keeps the order.

    :raises OSError: it is not.
    """
    machine = platform.machine()
    if machine not in _ORDERLY:
        raise OSError(
            errno.ENOTSUP,
            f"emulated partitions need a machine that keeps the order of stores, which is x86_64; this is {machine}",
        )


Barrier = Lock
"""``with barrier: pass``: what was stored before is visible before anything is loaded afterwards.

To take a lock that nobody else has, and to give it back, are two atomic read-modify-write operations; on the machines above each of
them is a full barrier.
"""
