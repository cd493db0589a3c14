"""Sockets that listen are passed on over the socket of an attachment; what else comes with a packet is closed."""

import socket
import struct
from contextlib import suppress

from tgtcore.errors import RingError
from tgtcore.packets import close_aside, take_packet

ADDRESS_BYTES_MAX = 256
"""Longest address of a socket that is passed on."""

_LINGER_OFF = struct.pack("2i", 0, 0)


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
    packet, descriptors, _ = take_packet(link, ADDRESS_BYTES_MAX)
    if not packet and not descriptors:
        return None
    if len(descriptors) != 1:
        close_aside(descriptors)
        raise RingError("it sent something over its socket that is no socket")
    try:
        passed_on = socket.socket(fileno=descriptors[0])
    except OSError:
        close_aside(descriptors)
        raise RingError("it sent a descriptor over its socket that is no socket") from None
    if not passed_on.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        close_aside([passed_on.detach()])
        raise RingError("it sent a socket over its socket that does not listen")
    return packet.decode("utf-8", "replace"), passed_on


def close_listening(passed_on: socket.socket) -> None:
    """Close a socket at once that has listened; whoever has passed it on may have made something else of it."""
    with suppress(OSError):  # its kind knows no lingering
        passed_on.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    passed_on.close()
