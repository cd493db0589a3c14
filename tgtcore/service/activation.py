"""Sockets that the service manager has opened for us: sd_listen_fds(3)."""

import logging
import os
import socket
from collections.abc import MutableMapping
from typing import NamedTuple

_log = logging.getLogger(__name__)

_COUNT, _PROCESS, _NAMES = "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"
_FIRST = 3
"""SD_LISTEN_FDS_START: the first descriptor after the standard streams."""


class Given(NamedTuple):
    """A listening socket that was opened for us.

    :ivar name: what the unit calls it (``FileDescriptorName=``), for messages.
    """

    name: str
    socket: socket.socket


def take_given(environ: MutableMapping[str, str] = os.environ, first: int = _FIRST) -> list[Given]:
    """The listening sockets that were opened for this process; what else was handed to it is reported and closed.

    Neither the descriptors nor the variables reach our children.
    """
    count, process, names = (environ.pop(variable, "") for variable in (_COUNT, _PROCESS, _NAMES))
    if process != str(os.getpid()) or not count.isdecimal():
        return []
    called = names.split(":")
    found = []
    for number in range(int(count)):
        name = called[number] if number < len(called) else ""
        sock = _listening(first + number, name)
        if sock is not None:
            found.append(Given(name, sock))
    return found


def socket_address(sock: socket.socket) -> str:
    """Where a socket is bound: ``host:port`` and ``[v6]:port`` with a numeric host, or the path of a UNIX socket."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return os.fsdecode(name)
    host, port = name[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"


def _listening(descriptor: int, name: str) -> socket.socket | None:
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        _log.warning("descriptor %d (%s) was handed to us, but is no socket: %s", descriptor, name, error.strerror)
        _close(descriptor)
        return None
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        _log.warning("descriptor %d (%s) was handed to us, but does not listen; it is closed", descriptor, name)
        sock.close()
        return None
    sock.setblocking(False)
    return sock


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return  # it was not even open
