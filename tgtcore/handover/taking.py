"""The side of the daemon that comes."""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from tgtcore.daemon import Inheritance, InheritedSocket
from tgtcore.handover.messages import VERB, Channel, Gone, wait_exit
from tgtcore.management.client import connect
from tgtcore.management.place import Place
from tgtcore.management.protocol import VERSION, Code, VerbError, told_error

_log = logging.getLogger(__name__)

_FAREWELL_S = 10
"""How long the predecessor may need to tell the service manager about us and to end."""

_CREDENTIALS = struct.Struct("3i")


class Predecessor:
    """The daemon whose place is wanted; made by :meth:`ask`.

    :ivar place: the management socket, which both have until one of them ends.
    """

    def __init__(self, channel: Channel, process: int, place: Place, sockets: list[InheritedSocket]) -> None:
        self._channel = channel
        self._process = process
        self._sockets = sockets
        self.place = place

    @classmethod
    async def ask(cls, path: Path) -> Self:
        """Ask the daemon at a management socket for its sockets; it serves on.

        :raises VerbError: nobody is there, it belongs to somebody else, or it does not want to.
        """
        sock = connect(path)
        _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.getuid()):
            sock.close()
            raise VerbError(
                Code.NOT_PERMITTED, f"{path}: the daemon there is that of user {uid}; nothing is taken from it"
            )
        channel = Channel(sock)
        try:
            await channel.send({"version": VERSION, "id": 1, "verb": VERB, "arguments": {}})
            message, descriptors = await channel.receive()
            if "error" in message:
                raise told_error(message["error"])
            about: dict[str, Any] = message["offer"]
            process, listening, lock = descriptors
            place = Place(
                path, socket.socket(fileno=listening), lock, list(map(Path, about["folders"])), ours=about["ours"]
            )
            return cls(channel, process, place, await _sockets(channel))
        except (Gone, KeyError, ValueError) as error:
            channel.close()
            raise VerbError(
                Code.FAILED, f"the daemon at {path} does not hand over: {error}; it was not disturbed"
            ) from None
        except BaseException:
            channel.close()
            raise

    async def yield_place(self, given: Iterable[InheritedSocket] = ()) -> Inheritance:
        """Say *go*, and wait until everything is ours: the predecessor has closed its stores, or its process has ended.

        :param given: sockets that we have from elsewhere.
        """
        reservations: dict[bytes, dict[str, Any]] = {}
        own = os.pidfd_open(os.getpid())
        try:
            await self._channel.send({"go": os.getpid()}, (own,))
            while "yours" not in (message := (await self._channel.receive())[0]):
                reservations[bytes.fromhex(message["unique_id"])] = message["reservations"]
            clean = bool(message["yours"])
        except Gone:
            _log.warning("the former daemon has died during the hand-over")
            clean = False
        finally:
            os.close(own)
        if not clean:
            await wait_exit(self._process)
        return Inheritance([*self._sockets, *given], reservations)

    async def serving(self) -> None:
        """Say that we serve, and let the predecessor end."""
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await self._channel.send({"serving": True})
                await self._channel.receive()
        except (Gone, TimeoutError):
            self.close()

    async def failed(self, why: str) -> bool:
        """Say that we don't serve, with nothing open any more; whether the predecessor will serve again."""
        try:
            await self._channel.send({"failed": why})
        except Gone:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """End the connection; idempotent."""
        self._channel.close()
        if self._process >= 0:
            os.close(self._process)
            self._process = -1


async def _sockets(channel: Channel) -> list[InheritedSocket]:
    """The portals' sockets, which come in batches."""
    found: list[InheritedSocket] = []
    while "offered" not in (received := await channel.receive())[0]:
        message, descriptors = received
        for (address, transport), descriptor in zip(message["sockets"], descriptors, strict=True):
            found.append(InheritedSocket(address, socket.socket(fileno=descriptor), transport))
    return found
