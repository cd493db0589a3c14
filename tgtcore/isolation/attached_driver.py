"""A transport whose driver is started by somebody else: it comes, attaches, and may come again."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tgtcore.errors import RingError
from tgtcore.isolation.attendant import Attendant
from tgtcore.isolation.orders import printable
from tgtcore.isolation.privileges import user_ids
from tgtcore.isolation.ring_driver import GEOMETRY, PATIENCE, Patience, RingDriver
from tgtcore.named_socket import bind_private
from tgtcore.packets import hang_up
from tgtcore.ring import Attached, accept_driver
from tgtcore.transport import Host

KNOCKING_MAX = 8
"""How many may be about to say hello."""


@dataclass(frozen=True)
class Door:
    """Where drivers attach.

    :param path: of the socket, which is made.
    :param user: who may attach, besides root and the user of this process.
    """

    path: Path
    user: str | None = None


class AttachedDriver(RingDriver):
    """A transport for which a driver attaches; without one it has no portals and no sessions.

    :param name: the transport's registered name.
    :param door: where its driver attaches.
    :param host: what the driver may ask for.
    :param patience: with a driver that hangs.
    """

    reloads = True

    def __init__(self, name: str, door: Door, host: Host, options: BaseModel, patience: Patience = PATIENCE) -> None:
        super().__init__(name, host, options, patience)
        self._name = name
        self._path = door.path
        self._uid = user_ids(door.user)[0] if door.user else -1
        self._door: socket.socket | None = None
        self._handed_on = False
        """Whether a successor may have the door: then its name stays."""
        self._visits: set[asyncio.Task[None]] = set()
        """Each from its knocking to its leaving."""
        self._state = "waiting"
        self._driver = ""
        """The driver that was let in, until it has left or was dropped."""
        self._left = asyncio.Event()
        self._attached = 0

    def inherit(self, sockets: Iterable[tuple[str, socket.socket]]) -> None:
        """Keep listening sockets, each with its address, for the driver that will come and ask for them.

        Its own socket may be among them.
        """
        self._sockets += sockets

    async def start(self) -> None:
        """Open the door; a driver that is there opens its portals again.

        :raises ConfigError: the socket can't be made, or the driver can't open a portal.
        :raises OSError: the socket can't be made.
        """
        if self._door is None:
            self._door = self._inherited_door() or self._new_door()
            self._door.setblocking(False)
            self._door.listen(KNOCKING_MAX)
            self._news.follow()
        self._listening = True
        self._host.loop.add_reader(self._door, self._knocked)
        if self.attendant is not None:
            await self._listen_again()

    async def stop_listening(self) -> None:
        """Let the driver close its portals; one that comes later waits at the door."""
        self._close_door()
        await super().stop_listening()

    async def close(self) -> None:
        """Let the driver end every session and leave; nobody can come any more."""
        try:
            await self._say_close(None)
        finally:
            self._close_door()
            self._part()
            for visit in self._visits:
                visit.cancel()
            if self._visits:
                await asyncio.wait(self._visits)
            self._forget()
            door, self._door = self._door, None
            if door is not None:
                door.close()
                if not self._handed_on:
                    self._path.unlink(missing_ok=True)

    async def reload(self, options: BaseModel, timeout_s: float) -> str:
        """Only what the plugin declares can be new to the daemon; the driver gets its options anew."""
        await self.apply_options(options)
        return "its driver has the options anew"

    async def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """Those of the driver, and the door."""
        sockets = await super().listening_sockets()
        if self._door is not None:
            self._handed_on = True
            sockets.append((str(self._path), self._door))
        return sockets

    def _new_door(self) -> socket.socket:
        return bind_private(self._path, f"transport {self._name}: the socket", socket.SOCK_SEQPACKET, self._uid)

    def _inherited_door(self) -> socket.socket | None:
        door = self._inherited(str(self._path))
        self._sockets = [(address, sock) for address, sock in self._sockets if sock is not door]
        return door

    # ---- visits -------------------------------------------------------------------------------------------------------

    def _close_door(self) -> None:
        if self._door is not None:
            self._host.loop.remove_reader(self._door)

    def _knocked(self) -> None:
        assert self._door is not None
        with contextlib.suppress(OSError):  # it has gone again
            link, _ = self._door.accept()
            if len(self._visits) > KNOCKING_MAX:
                hang_up(link)
                return
            visit = self._host.loop.create_task(self._visit(link))
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)

    async def _visit(self, link: socket.socket) -> None:
        """One driver, from its hello to its end."""
        try:
            attendant = self._let_in(await accept_driver(link, GEOMETRY, refusal=self._refusal))
        except (RingError, OSError) as error:
            self._log.warning("a driver could not attach: %s", str(error) or "it says nothing")
            return
        try:
            await self._serve(attendant)
        finally:
            if self.attendant is attendant:
                self._part()
                self._gone()

    def _let_in(self, attached: Attached) -> Attendant:
        self._driver = f"{printable(attached.peer) or 'without a name'} (process {attached.pid})"
        self._state = "starting"
        self._attached += 1
        self._left.clear()
        return self._take_in(attached)

    async def _serve(self, attendant: Attendant) -> None:
        """Bring a driver to its work, and ask now and then whether it is still there."""
        driver = self._driver
        try:
            await self._bring_to_work(attendant)
        except (RingError, OSError) as error:
            self._log.error(
                "driver %s could not be brought to its work: %s", driver, str(error) or "it does not answer"
            )
            return
        self._state = "serving"
        self._log.info("driver %s serves", driver)
        while self.attendant is attendant:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), self._patience.pulse_s)
            await self._refresh_ports()

    def _refusal(self, pid: int, uid: int) -> str:
        """Why this one may not attach now."""
        if uid not in (0, os.geteuid(), self._uid):
            return f"user {uid} may not attach a driver for transport {self._name}"
        if self.attendant is not None:
            self.attendant.link_readable()  # it may have gone this moment
        if self._driver:
            return f"transport {self._name} has a driver already: {self._driver}"
        return ""

    def _gone(self) -> None:
        """The next one may come."""
        self._state, self._driver = "waiting", ""
        self._left.set()

    def _about(self) -> dict[str, Any]:
        """Of the driver."""
        return {
            "state": self._state,
            "driver": self._driver,
            "attached": self._attached,
        }
