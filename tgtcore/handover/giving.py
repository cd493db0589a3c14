"""The side of the daemon that goes."""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from tgtcore.daemon import Daemon, InheritedSocket
from tgtcore.handover.messages import DESCRIPTORS_MAX, Channel, Gone, wait_exit
from tgtcore.management.place import Place

_ANSWER_S = 60
"""How long a successor may think about what it was offered."""


class Successor:
    """A daemon that wants our place.

    :param sock: the connection on which it has asked; closed with :meth:`close`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._channel = Channel(sock)
        self._process = -1
        self.pid = 0
        """Its process, once it has said *go*."""

    async def offer(self, place: Place, sockets: Sequence[InheritedSocket]) -> bool:
        """Give it what listens, and wait until it wants to go on; True.  Nothing has changed until then.

        :raises Gone: it does not, or has died.
        """
        own = os.pidfd_open(os.getpid())
        try:
            about = {"folders": list(map(str, place.folders)), "ours": place.ours}
            await self._channel.send({"offer": about}, (own, place.listening.fileno(), place.lock))
        finally:
            os.close(own)
        for start in range(0, len(sockets), DESCRIPTORS_MAX):
            batch = sockets[start : start + DESCRIPTORS_MAX]
            await self._channel.send(
                {"sockets": [[one.address, one.transport] for one in batch]}, [one.socket.fileno() for one in batch]
            )
        await self._channel.send({"offered": len(sockets)})
        try:
            async with asyncio.timeout(_ANSWER_S):
                self.pid, (self._process, *_) = await self._channel.expect("go", descriptors=1)
        except TimeoutError:
            raise Gone(f"it has not answered in {_ANSWER_S} s") from None
        return True

    async def take_over(self, reservations: Mapping[bytes, dict[str, Any]], *, clean: bool) -> bool:
        """Tell it that everything is closed, and wait until it serves; True.

        :param reservations: of each logical unit, by unique id.
        :param clean: whether really everything is closed; else it waits for the end of our process, and we don't wait for it.
        :raises Gone: it does not serve, and holds nothing any more: its process has ended, or it has said so.
        """
        try:
            for unique_id, state in reservations.items():
                await self._channel.send({"reservations": state, "unique_id": unique_id.hex()})
            await self._channel.send({"yours": clean})
            message = (await self._channel.receive())[0] if clean else {"serving": True}
        except Gone:
            await wait_exit(self._process)
            raise
        if "serving" not in message:
            raise Gone(str(message.get("failed", "it speaks another protocol")))
        return True

    def close(self) -> None:
        """End the connection; idempotent."""
        self._channel.close()
        if self._process >= 0:
            os.close(self._process)
            self._process = -1


async def listening(daemon: Daemon) -> list[InheritedSocket]:
    """Duplicates of every socket of a daemon's transports: as long as they are open, nobody who connects is refused."""
    return [
        InheritedSocket(address, sock.dup(), name)
        for name, driver in daemon.inventory.transports.items()
        for address, sock in await driver.listening_sockets()
    ]
