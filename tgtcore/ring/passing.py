"""Descriptors that come over the socket of an attachment, and what to do with those that nobody wants.

A stranger's descriptor may be anything.  To close the last one of a socket may wait for its peer (SO_LINGER), that of a file for
a file system: for as long as whoever has sent it likes.  The kernel closes those that are not taken out of a socket, in the thread
that reads past them or closes the socket.  So all are taken, and those of unknown kind are closed in a thread of their own.
"""

import os
import socket
import struct
from array import array
from collections.abc import Iterable
from contextlib import suppress
from threading import Thread

from tgtcore.errors import RingError

ADDRESS_BYTES_MAX = 256
"""Longest address of a socket that is passed on."""

_DESCRIPTORS_MAX = 253
"""As many may come with one packet (SCM_MAX_FD)."""
_INT_BYTES = struct.calcsize("i")
_CREDENTIALS_BYTES = struct.calcsize("3i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_DESCRIPTORS_MAX * _INT_BYTES) + socket.CMSG_SPACE(_CREDENTIALS_BYTES)
_LINGER_OFF = struct.pack("2i", 0, 0)


def receive(link: socket.socket, length: int) -> bytes:
    """A packet for which no descriptors are wanted, or the first so many bytes of it; empty: the other side has hung up.

    :raises OSError: there is none, or the link is broken.
    """
    packet, descriptors, _ = _received(link, length)
    _close_aside(descriptors)
    return packet


def send_socket(link: socket.socket, address: str, listening: socket.socket) -> None:
    """Pass a listening socket on; the other side gets a descriptor of its own.

    :raises OSError: the other side is gone, or does not take it.
    """
    socket.send_fds(link, [address.encode()[:ADDRESS_BYTES_MAX]], [listening.fileno()])


def receive_socket(link: socket.socket) -> tuple[str, socket.socket] | None:
    """A listening socket that was passed on, with its address; None: the other side has hung up.

    :raises BlockingIOError: nothing was sent.
    :raises RingError: what was sent is something else.
    """
    packet, descriptors, _ = _received(link, ADDRESS_BYTES_MAX)
    if not packet and not descriptors:
        return None
    if len(descriptors) != 1:
        _close_aside(descriptors)
        raise RingError("it sent something over its socket that is no socket")
    try:
        passed_on = socket.socket(fileno=descriptors[0])
    except OSError:
        _close_aside(descriptors)
        raise RingError("it sent a descriptor over its socket that is no socket") from None
    if not passed_on.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        _close_aside([passed_on.detach()])
        raise RingError("it sent a socket over its socket that does not listen")
    return packet.decode("utf-8", "replace"), passed_on


def hang_up(link: socket.socket) -> None:
    """Close the socket of an attachment at once, whatever the other side has sent that nobody has taken."""
    link.setblocking(False)
    with suppress(OSError):  # the other side has gone, and nothing is left
        link.shutdown(socket.SHUT_RDWR)  # nothing can follow
        link.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # tells an empty packet from the end
        anything = True
        while anything:
            _, descriptors, anything = _received(link, 1)
            _close_aside(descriptors)
    link.close()


def close_listening(passed_on: socket.socket) -> None:
    """Close a socket at once that has listened; whoever has passed it on may have made something else of it."""
    with suppress(OSError):  # its kind knows no lingering
        passed_on.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    passed_on.close()


def _received(link: socket.socket, length: int) -> tuple[bytes, list[int], bool]:
    """A packet, all its descriptors, and whether anything came with it."""
    packet, ancillary, _, _ = link.recvmsg(length, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) // _INT_BYTES * _INT_BYTES])
    return packet, descriptors.tolist(), bool(ancillary)


def _close_aside(descriptors: Iterable[int]) -> None:
    unwanted = list(descriptors)
    if unwanted:
        Thread(target=_close, args=(unwanted,), name="closing", daemon=True).start()


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        with suppress(OSError):  # what its closing failed at is no concern of ours
            os.close(fd)
