"""The management socket: a UNIX socket that only the daemon's own user and root may use."""

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tgtcore import signals
from tgtcore.errors import ConfigError, TgtError
from tgtcore.limits import MANAGEMENT_CLIENTS_MAX, MANAGEMENT_REQUEST_BYTES_MAX
from tgtcore.management.protocol import Code, Request, VerbError, error_line, parse_request, result_line

_log = logging.getLogger(__name__)

IDLE_S = 600.0
"""A client that says nothing for this long is disconnected."""

_FAREWELL_S = 1.0

_PATH_BYTES_MAX = 107
"""unix(7): sun_path without the byte that ends it."""

_CREDENTIALS = struct.Struct("3i")

Answer = Callable[[Request], Awaitable[Any]]
"""Runs one verb."""


class Server:
    """Listens for management clients.

    :param path: the socket; its folder is made if it is missing, and then removed with it.
    :param answer: runs a request and returns the result or raises.
    """

    def __init__(self, path: Path, answer: Answer, *, idle_s: float = IDLE_S) -> None:
        self.path = path
        self._answer = answer
        self._idle_s = idle_s
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.AbstractServer | None = None
        self._lock = -1
        self._folders: list[Path] = []

    async def start(self) -> None:
        """Begin to listen.

        :raises ConfigError: the socket can't be made, or another daemon has it.
        """
        try:
            for folder in _missing(self.path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
                self._folders.insert(0, folder)
            self._lock = _locked(self.path.with_name(self.path.name + ".lock"), self.path)
            with contextlib.ExitStack() as undo:
                sock = _bound(self.path)
                undo.callback(self.path.unlink, missing_ok=True)
                undo.callback(sock.close)
                self._server = await asyncio.start_unix_server(
                    self._serve, sock=sock, limit=MANAGEMENT_REQUEST_BYTES_MAX
                )
                undo.pop_all()
        except OSError as error:
            await self.stop()
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"management socket {self.path}: {reason}; another place: the key daemon.socket"
            ) from None
        except ConfigError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more clients, end those that are there and remove the socket; idempotent."""
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)
            self._server = None
        for client in list(self._clients):
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients)
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + ".lock").unlink()
            os.close(self._lock)
            self._lock = -1
        with contextlib.suppress(OSError):  # somebody has put something else there
            while self._folders:
                self._folders.pop(0).rmdir()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._talk(reader, writer)
        except TimeoutError:
            writer.transport.abort()  # it does not read its answers
        except (OSError, asyncio.CancelledError):
            pass  # the client has gone, or the daemon goes
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
            writer.write(await self._respond(line))
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

    async def _respond(self, line: bytes) -> bytes:
        number = 0
        try:
            request = parse_request(line)
            number = request.id
            return result_line(number, await self._answer(request))
        except (TgtError, OSError) as error:
            return error_line(number, error)
        except Exception as error:
            _log.exception("a management verb failed")
            return error_line(
                number, VerbError(Code.FAILED, f"the daemon failed inside: {type(error).__name__}: {error}")
            )


def _missing(folder: Path) -> list[Path]:
    """The folders that must be made to have one, the outermost first."""
    return [one for one in (*reversed(folder.parents), folder) if not one.exists()]


def _locked(lock: Path, path: Path) -> int:
    """Hold a lock as long as the socket is ours: two daemons that start at once must not both remove it."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise ConfigError(f"management socket {path}: another tgtd is using it") from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                return descriptor
        os.close(descriptor)  # a daemon that just ended has removed the file that was locked here


def _remove_dead(path: Path) -> None:
    """Remove the socket that a killed daemon has left.

    :raises ConfigError: it is no socket, or somebody answers there.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"management socket {path}: there is a file of that name which is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # so many wait there already
    raise ConfigError(f"management socket {path}: another program is using it")


def _bound(path: Path) -> socket.socket:
    length = len(os.fsencode(path))
    if length > _PATH_BYTES_MAX:
        raise ConfigError(
            f"management socket {path}: the path has {length} bytes, expected at most {_PATH_BYTES_MAX}; choose a shorter one"
        )
    _remove_dead(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), 0o600)  # before it has a name: nobody gets in between
        sock.bind(str(path))
        os.chmod(path, 0o600)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
