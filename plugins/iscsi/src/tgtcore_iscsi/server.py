"""The sockets of the iSCSI transport: listening, receiving, sending.  No other file of this package touches one.

One ``recv_into`` per readiness event into the connection's buffer, one vectored ``sendmsg`` for everything that a batch of commands
has to say, ``sendfile`` for large reads.  After a batch the socket is tried once more: the next commands are often there already,
and a turn of the loop costs more than an ``EAGAIN``.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from tgtcore import Region
from tgtcore_iscsi.addresses import Address

if TYPE_CHECKING:
    from tgtcore_iscsi.connection import Connection

_log = logging.getLogger(__name__)

_BUFFERS_PER_CALL = 1024
"""IOV_MAX of Linux."""
_ROUNDS_PER_EVENT = 4
"""How often one connection may be served before the others get a turn."""
_BACKLOG = 128
_TEMPORARY = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_LOST = frozenset(
    (
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
        errno.ETIMEDOUT,
    )
)
"""accept(2) of Linux: what has happened to a connection before it was accepted; the next one may be well."""
_ACCEPT_PAUSE_S = 0.5
_DRAIN_BYTES = 65536

Inherited = Callable[[str], socket.socket | None]
"""Gives the socket that listens at an address already, or None."""


class Channel:
    """One connected socket and the connection that lives on it.

    :param closed: called once, when the socket is closed, with the reason.
    """

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, closed: "Callable[[Channel, str], None]"
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.peer = Address(*sock.getpeername()[:2])
        self.local = Address(*sock.getsockname()[:2])
        self.connection: Connection
        self._socket = sock
        self._loop = loop
        self._closed = closed
        self._open = True
        self._busy = False
        self._scheduled = False
        self._reading = False
        self._writing = False
        self.moved_bytes = 0
        """Received and sent so far."""

    def start(self, connection: "Connection") -> None:
        """Begin to receive."""
        self.connection = connection
        self._reading = True
        self._loop.add_reader(self._socket, self._readable)

    def wake(self) -> None:
        """The connection has something to send, or wants to end."""
        if not self._busy and not self._scheduled and self._open:
            self._scheduled = True
            self._loop.call_soon(self._go_on)

    def close(self, why: str) -> None:
        """Close the socket now; idempotent."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self.connection.gone()
        self._closed(self, why)

    # ---- one event ---------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        connection = self.connection
        for _ in range(_ROUNDS_PER_EVENT):
            if not connection.wants_input:
                break
            try:
                count = self._socket.recv_into(connection.inbound.space())
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self.close(f"receiving failed: {error.strerror}")
                return
            if not count:
                self.close("closed by the initiator")
                return
            self.moved_bytes += count
            self._busy = True
            try:
                connection.received(count)
            finally:
                self._busy = False
            if not self._flush():
                return
        self._settle()

    def _go_on(self) -> None:
        """Send what tasks that ended outside an event have left."""
        self._scheduled = False
        if self._open and self._flush():
            self._settle()

    def _settle(self) -> None:
        """Arrange for the next event: go on with input that was held back, read or pause, close when asked."""
        connection = self.connection
        while connection.wants_input and connection.has_complete_pdu():
            self._busy = True
            try:
                connection.parse()
            finally:
                self._busy = False
            if not self._flush():
                return
        connection.tell_memory()
        if connection.closing and not connection.outbound:
            self._drain()
            self.close(connection.closing)
            return
        wants = connection.wants_input
        if wants is not self._reading:
            self._reading = wants
            if wants:
                self._loop.add_reader(self._socket, self._readable)
            else:
                self._loop.remove_reader(self._socket)
        if bool(connection.outbound) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._socket, self._go_on)
            else:
                self._loop.remove_writer(self._socket)

    def _drain(self) -> None:
        """Throw away what the peer has sent: closing with unread bytes would reset the connection and lose our last words."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            for _ in range(_ROUNDS_PER_EVENT):
                if not self._socket.recv(_DRAIN_BYTES):
                    return
        except OSError:
            return

    # ---- sending -------------------------------------------------------------------------------------------------------

    def _flush(self) -> bool:
        """Send as much as the socket takes; False when the socket has died."""
        connection = self.connection
        outbound = connection.outbound
        try:
            while outbound:
                first = outbound[0]
                if isinstance(first, Region):
                    sent = os.sendfile(self._socket.fileno(), first.fd, first.offset, first.length)
                    if not sent:
                        self.close("the store has become shorter than a read that it accepted")
                        return False
                    wanted = first.length
                else:
                    sent, wanted = self._send_buffers()
                connection.sent(sent)
                self.moved_bytes += sent
                if sent < wanted:
                    break
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.close(f"sending failed: {error.strerror}")
            return False
        connection.flushed()
        return True

    def _send_buffers(self) -> tuple[int, int]:
        connection = self.connection
        outbound = connection.outbound
        batch = list(islice(outbound, _BUFFERS_PER_CALL))
        flags = 0
        if connection.outbound_regions:
            for index, piece in enumerate(batch):
                if isinstance(piece, Region):
                    del batch[index:]
                    flags = socket.MSG_MORE
                    break
        wanted = connection.outbound_bytes if len(batch) == len(outbound) else sum(map(len, batch))
        return self._socket.sendmsg(batch, (), flags), wanted  # type: ignore[arg-type]


class Listener:
    """One listening socket.

    :ivar asked: the address that was asked for, numeric; with port 0 it is not where the socket is bound.

    :param accepted: called with each connected socket.
    :param inherited: gives the socket that listens at an address already, or None.
    :raises OSError: the address can't be listened on; the message names it.
    """

    def __init__(
        self,
        address: Address,
        loop: asyncio.AbstractEventLoop,
        accepted: Callable[[socket.socket], None],
        inherited: Inherited,
    ) -> None:
        self._loop = loop
        self._accepted = accepted
        self.asked, self.socket = _listen(address, inherited)
        self.address = Address(*self.socket.getsockname()[:2])
        loop.add_reader(self.socket, self._accept)

    def close(self) -> None:
        """Take no more connections; idempotent."""
        if self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket)
            self.socket.close()

    def _accept(self) -> None:
        for _ in range(_BACKLOG):
            try:
                sock, _ = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _LOST:
                    continue
                if error.errno not in _TEMPORARY:
                    raise
                _log.warning("portal %s can't accept now: %s", self.address, error.strerror)
                self._loop.remove_reader(self.socket)
                self._loop.call_later(_ACCEPT_PAUSE_S, self._resume)
                return
            try:
                self._accepted(sock)
            except OSError as error:  # the peer was gone before it was greeted
                _log.debug("a connection to portal %s was lost at once: %s", self.address, error)
                sock.close()

    def _resume(self) -> None:
        if self.socket.fileno() >= 0:
            self._loop.add_reader(self.socket, self._accept)


def _listen(address: Address, inherited: Inherited) -> tuple[str, socket.socket]:
    """A listening socket for an address, and the numeric address by which it would be inherited."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise OSError(errno.EADDRNOTAVAIL, f"portal {address}: {(error.strerror or str(error)).lower()}") from None
    asked = str(Address(*where[:2]))
    sock = inherited(asked)
    try:
        if sock is None:
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(where)
        elif where[0] == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            raise OSError(errno.EINVAL, "The inherited socket takes IPv4 too; its unit needs BindIPv6Only=ipv6-only")
        sock.setblocking(False)
        sock.listen(_BACKLOG)
    except OSError as error:
        if sock is not None:
            sock.close()
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"portal {address}: {reason[:1].lower()}{reason[1:]}") from None
    return asked, sock
