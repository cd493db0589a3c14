"""The management socket: a UNIX socket that only the daemon's own user and root may use."""

import asyncio
import contextlib
import logging
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tgtcore import signals
from tgtcore.daemon.audience import Audience, heard_by
from tgtcore.errors import ConfigError, TgtError
from tgtcore.limits import MANAGEMENT_CLIENTS_MAX, MANAGEMENT_REQUEST_BYTES_MAX, PROGRESS_UNREAD_BYTES_MAX
from tgtcore.loop import in_turns
from tgtcore.management.place import Place
from tgtcore.management.progress import progress_of
from tgtcore.management.protocol import (
    Code,
    Request,
    VerbError,
    error_line,
    parse_request,
    progress_line,
    result_pieces,
)

_log = logging.getLogger(__name__)

IDLE_S = 600.0
"""A client that says nothing for this long is disconnected."""

_FAREWELL_S = 1.0

_CREDENTIALS = struct.Struct("3i")

_KEEP_NAME: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""The name in the file system is the place's."""

Answer = Callable[[Request], Awaitable[Any]]
"""Runs one verb."""


@dataclass(frozen=True)
class Conversation:
    """The answer of a verb that goes on in another way: the connection is its own from then on.

    :param hold: called with the connected socket, which is its own; the server counts the client no more.
    """

    hold: Callable[[socket.socket], None]


class Server:
    """Listens for management clients.

    :param path: the socket; its folder is made if it is missing, and then removed with it.
    :param answer: runs a request and returns the result or raises.
    :param inherited: the socket, where somebody has bound it for us.
    :param place: the whole place, where another daemon has left it to us.
    """

    def __init__(
        self,
        path: Path,
        answer: Answer,
        *,
        idle_s: float = IDLE_S,
        inherited: socket.socket | None = None,
        place: Place | None = None,
    ) -> None:
        self.path = path
        self._answer = answer
        self._idle_s = idle_s
        self._inherited = inherited
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.AbstractServer | None = None
        self._place = place

    async def start(self) -> None:
        """Take the place and begin to listen.

        :raises ConfigError: the socket can't be made, or another daemon has it.
        """
        with self._explained():
            self._place = self._place or Place.take(self.path, self._inherited)
        try:
            await self.listen()
        except ConfigError:
            await self.stop()
            raise

    async def listen(self) -> None:
        """Take clients, after :meth:`start` or :meth:`pause`.

        :raises ConfigError: there is no descriptor left for it.
        """
        assert self._place is not None, "started"
        with self._explained():
            own = self._place.listening.dup()
            own.setblocking(False)
            try:
                self._server = await asyncio.start_unix_server(
                    self._serve, sock=own, limit=MANAGEMENT_REQUEST_BYTES_MAX, **_KEEP_NAME
                )
            except OSError:
                own.close()
                raise

    def pause(self) -> None:
        """Take no more clients; those that come wait for :meth:`listen`, here or in a successor."""
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def place(self) -> Place:
        """What a successor gets."""
        assert self._place is not None, "started"
        return self._place

    def leave(self) -> None:
        """The place is a successor's from now on: nothing of it is removed."""
        self.pause()
        self.place.leave()
        self._place = None

    async def stop(self) -> None:
        """Take no more clients, end those that are there and remove the socket; idempotent."""
        self.pause()
        for client in list(self._clients):
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients)
        self.vanish()

    def vanish(self) -> None:
        """Remove the socket now; idempotent."""
        if self._place is not None:
            self._place.release()
            self._place = None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"management socket {self.path}: {reason}; another place: the key daemon.socket"
            ) from None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._talk(reader, writer)
        except TimeoutError:
            writer.transport.abort()  # it does not read its answers
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the daemon goes
        except OSError as error:
            _log.warning("a management client is let go: %s", error)
        finally:
            self._clients.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusal = self._refusal(writer)
        if refusal is not None:
            await self._part(reader, writer, refusal)
            return
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), self._idle_s)
            except (TimeoutError, ValueError) as error:
                text = (
                    "nothing was asked for too long" if isinstance(error, TimeoutError) else "the request is too long"
                )
                await self._part(reader, writer, VerbError(Code.PROTOCOL, text))
                return
            if not line.endswith(b"\n"):
                return
            answer = await self._respond(line, reader, writer)
            if isinstance(answer, Conversation):
                writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's
                answer.hold(writer.get_extra_info("socket").dup())
                return
            writer.write(answer)
            await asyncio.wait_for(writer.drain(), self._idle_s)

    async def _part(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, why: VerbError) -> None:
        """Say why the connection ends, and let the client hear it: closing over unread bytes would throw the answer away."""
        writer.write(error_line(0, why))
        writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                while await reader.read(65536):
                    pass

    def _refusal(self, writer: asyncio.StreamWriter) -> VerbError | None:
        if len(self._clients) > MANAGEMENT_CLIENTS_MAX:
            signals.emit(signals.limit_reached, self, limit="MANAGEMENT_CLIENTS_MAX", value=MANAGEMENT_CLIENTS_MAX)
            return VerbError(Code.BUSY, f"{MANAGEMENT_CLIENTS_MAX} management clients are connected already")
        sock: socket.socket = writer.get_extra_info("socket")
        _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.getuid()):
            return VerbError(
                Code.NOT_PERMITTED, f"user {uid} may not manage this daemon; user {os.getuid()} and root may"
            )
        return None

    async def _respond(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | Conversation:
        number = 0
        try:
            request = parse_request(line)
            number = request.id
            with heard_by(_audience(request, reader, writer)):
                result = await self._answer(request)
            if isinstance(result, Conversation):
                return result
            return "".join(await in_turns(result_pieces(number, result))).encode()
        except (TgtError, OSError) as error:
            return error_line(number, error)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            _log.exception("a management verb failed")
            return error_line(
                number, VerbError(Code.FAILED, f"the daemon failed inside: {type(error).__name__}: {error}")
            )


def _is_cancelled() -> bool:
    """Whether this task itself is to end, not only something that it has waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _audience(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Audience:
    """The client that waits for the answer to a request."""

    def tell(news: object) -> None:
        """Say how it gets on, to one that reads what it is told."""
        if not writer.is_closing() and writer.transport.get_write_buffer_size() <= PROGRESS_UNREAD_BYTES_MAX:
            writer.write(progress_line(request.id, progress_of(news)))

    def gone() -> bool:
        return reader.at_eof() or writer.is_closing()

    return Audience(tell, gone) if request.progress else Audience(gone=gone)
