"""Packets that strangers send over a UNIX socket, with whatever descriptors they put in them.

A stranger's descriptor may be anything.  To close the last one of a socket may wait for its peer (SO_LINGER), that of a file for
a file system: for as long as whoever has sent it likes.  The kernel closes those that are not taken out of a socket, in the thread
that reads past them or closes the socket.  So all are taken, and those that nobody wants are closed in a thread of their own.
"""

import os
import socket
import struct
from array import array
from collections.abc import Iterable
from contextlib import suppress
from threading import Thread

_DESCRIPTORS_MAX = 253
"""As many may come with one packet (SCM_MAX_FD)."""
_INT_BYTES = struct.calcsize("i")
_CREDENTIALS = struct.Struct("3i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_DESCRIPTORS_MAX * _INT_BYTES) + socket.CMSG_SPACE(_CREDENTIALS.size)


def receive_packet(link: socket.socket, length: int) -> bytes:
    """A packet for which no descriptors are wanted, or the first so many bytes of it; empty: the other side has hung up.

    :raises OSError: there is none, or the link is broken.
    """
    packet, descriptors, _ = take_packet(link, length)
    close_aside(descriptors)
    return packet


def take_packet(link: socket.socket, length: int) -> tuple[bytes, list[int], bool]:
    """The first so many bytes of a packet, all its descriptors, which are the caller's now, and whether anything came with it.

    :raises OSError: there is none, or the link is broken.
    """
    packet, ancillary, _, _ = link.recvmsg(length, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) // _INT_BYTES * _INT_BYTES])
    return packet, descriptors.tolist(), bool(ancillary)


def hang_up(link: socket.socket) -> None:
    """Close a socket at once, whatever the other side has sent that nobody has taken; what was sent to it still arrives."""
    link.setblocking(False)
    with suppress(OSError):  # the other side has gone, and nothing is left
        link.shutdown(socket.SHUT_RDWR)  # nothing can follow
        link.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # tells an empty packet from the end
        anything = True
        while anything:
            _, descriptors, anything = take_packet(link, 1)
            close_aside(descriptors)
    link.close()


def close_aside(descriptors: Iterable[int]) -> None:
    """Close a stranger's descriptors without waiting for that."""
    unwanted = list(descriptors)
    if unwanted:
        Thread(target=_close, args=(unwanted,), name="closing", daemon=True).start()


def peer_credentials(link: socket.socket) -> tuple[int, int, int]:
    """Process, user and group id of the other side, as the kernel knows them."""
    pid, uid, gid = _CREDENTIALS.unpack(link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid, gid


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        with suppress(OSError):  # what its closing failed at is no concern of ours
            os.close(fd)
