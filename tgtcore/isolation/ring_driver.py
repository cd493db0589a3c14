"""A transport behind a ring, as the daemon deals with it: told of its targets, asked, reclaimed when it dies."""

import asyncio
import json
import logging
import socket
from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from tgtcore.errors import ConfigError, RingError
from tgtcore.isolation import answers
from tgtcore.isolation.answers import Shown
from tgtcore.isolation.attendant import Attendant
from tgtcore.isolation.events import Refused
from tgtcore.isolation.ports import checked_target_ports
from tgtcore.isolation.target_news import TargetNews
from tgtcore.limits import NEXUSES_PER_DRIVER_MAX, SESSIONS_OF_DRIVER_BYTES_MAX
from tgtcore.nexus import TargetPort
from tgtcore.ring import Attached, Event, Geometry, close_listening
from tgtcore.target import Target
from tgtcore.transport import Driver, Host, PortalInfo, SessionInfo

_T = TypeVar("_T")

GEOMETRY = Geometry()
_IDS_PER_EVENT = 1000


@dataclass(frozen=True)
class Patience:
    """With a driver that dies or hangs.

    :param first_s: one that was well is started anew at once; the second time in a row only after so long, then after twice as long
        each time.
    :param longest_s: never longer than this.
    :param well_s: one that has served for so long was well.
    :param pulse_s: how often it is asked whether it is still there.
    :param start_s: how long it may take to learn its targets and open its portals.
    :param answer_s: how long it may take for an answer, but for what ends when the last command has.
    """

    first_s: float = 0.1
    longest_s: float = 10.0
    well_s: float = 5.0
    pulse_s: float = 5.0
    start_s: float = 20.0
    answer_s: float = 10.0

    def wait_s(self, deaths: int) -> float:
        """How long to wait after so many deaths in a row."""
        return min(self.first_s * 2 ** min(deaths - 2, 32), self.longest_s) if deaths > 1 else 0.0


PATIENCE = Patience()


class RingDriver(Driver):
    """A transport behind a ring; where its driver comes from is for subclasses to say.

    :param name: the transport's registered name.
    :param host: what the transport may ask for.
    :param patience: with a driver that does not answer.
    """

    def __init__(self, name: str, host: Host, options: BaseModel, patience: Patience = PATIENCE) -> None:
        self.attendant: Attendant | None = None
        """The core's side of the ring, while there is one."""
        self._host = host
        self._options = options
        self._patience = patience
        self._log = logging.getLogger(f"tgtcore.driver.{name}")
        self._ports: dict[int, list[TargetPort]] = {}
        self._sockets: list[tuple[str, socket.socket]] = []
        """Those on which the driver listens: connections wait in them while there is no driver."""
        self._news = TargetNews(host, self._target_told)
        self._listening = True
        """Whether a driver that comes opens its portals."""
        self._dropped = ""
        """Why the last driver was dropped, if it was."""
        self._refreshing: set[asyncio.Task[None]] = set()

    @property
    def options(self) -> BaseModel:
        """The options in force."""
        return self._options

    # ---- life ---------------------------------------------------------------------------------------------------------

    def _take_in(self, attached: Attached) -> Attendant:
        """Attend to a driver that has attached from now on."""
        self._dropped = ""
        attendant = self.attendant = Attendant(self._host, attached, self._inherited, self._lost)
        return attendant

    async def _bring_to_work(self, attendant: Attendant) -> None:
        """Let a driver know what it must, and let it open its portals.

        :raises RingError: it can't; that it is dropped is the caller's to see to.
        :raises TimeoutError: it does not answer.
        """
        posted = [attendant.events.post(Event.OPTIONS, payload=_json(self._options))]
        posted += self._news.tell_all(attendant)
        if self._listening:
            posted.append(attendant.events.post(Event.START))
        async with asyncio.timeout(self._patience.start_s):
            for answer in posted:
                await answer
        await self._told_apart()
        if self.attendant is not attendant:
            raise RingError("the driver is gone")

    async def _told_apart(self) -> None:
        """Learn what others ask for when the driver can't be asked: its target ports, and its sockets, for the driver after it."""
        await self._refresh_ports()
        attendant = self.attendant
        if attendant is None:
            return
        await self._ask(Event.LISTENING)
        attendant.link_readable()
        if self.attendant is attendant:
            former, self._sockets, attendant.passed_on = self._sockets, attendant.passed_on, []
            for _, listening in former:
                close_listening(listening)

    def _inherited(self, address: str) -> socket.socket | None:
        """A socket for the transport: that of the driver before, or one that the daemon has inherited."""
        for asked, listening in self._sockets:
            if asked == address:
                return listening
        found = self._host.inherited(address)
        if found is not None:
            self._sockets.append((address, found))
        return found

    def _lost(self, reason: str) -> None:
        """The driver has hung up, or was dropped."""
        self._log.error("the driver is dropped: %s; its nexuses and commands are reclaimed", reason)
        self._dropped = reason
        self.attendant = None
        self._gone()

    @abstractmethod
    def _gone(self) -> None:
        """See to what a driver that is lost leaves behind."""

    def _part(self) -> None:
        """Reclaim everything of the driver that is there, if one is; idempotent."""
        attendant, self.attendant = self.attendant, None
        if attendant is not None:
            attendant.close()

    def _forget(self) -> None:
        """Nobody will be told or asked any more; idempotent."""
        self._news.forget()
        for refreshing in self._refreshing:
            refreshing.cancel()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for _, listening in self._sockets:
            close_listening(listening)
        self._sockets.clear()

    async def stop_listening(self) -> None:
        """Let it close its portals."""
        self._listening = False
        await self._ask(Event.STOP_LISTENING)
        if self.attendant is None:
            self._close_sockets()  # nobody takes the connections out of them any more
        await self._told_apart()

    async def _listen_again(self) -> None:
        """Let it open its portals after it has closed them.

        :raises ConfigError: it can't.
        """
        try:
            await self._ask(Event.START)
        except Refused as error:
            self._listening = False
            raise ConfigError(str(error)) from None
        await self._told_apart()

    async def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        """Let it ask initiators to log out, so many at a time as an event has room for."""
        ids = list(session_ids)
        for first in range(0, len(ids), _IDS_PER_EVENT):
            payload = json.dumps(ids[first : first + _IDS_PER_EVENT]).encode()
            await self._ask(Event.ASK_TO_LOG_OUT, payload=payload, timeout_s=within_s)

    async def drop_target(self, target: Target) -> None:
        """Let it end the sessions with a target; no new ones are opened from now on."""
        target.leases.shut()
        await self._ask(Event.DROP_TARGET, target=target.tid, until_done=True)

    async def drop_session(self, session_id: str) -> bool:
        """Let it end a session."""
        return await self._ask(Event.DROP_SESSION, payload=session_id.encode(), until_done=True) == b"1"

    async def _say_close(self, answer_s: float | None) -> bool:
        """Let it end every session; whether it has.

        :param answer_s: how long that may take; None: however long it takes.
        """
        if self.attendant is None:
            return False
        try:
            await self._asked(Event.CLOSE, answer_s=answer_s)
        except RingError as error:
            self._log.warning("the driver did not end as it should: %s", error)
            return False
        return True

    async def apply_options(self, options: BaseModel) -> None:
        """Hand new options over; while there is no driver, the next one gets them.

        :raises ConfigError: the transport does not take them, or dies of them; then nothing has changed.
        """
        if self.attendant is not None:
            try:
                await self._asked(Event.OPTIONS, payload=_json(options), answer_s=self._patience.answer_s)
            except RingError as error:
                raise ConfigError(str(error)) from None
        self._options = options
        await self._told_apart()

    # ---- for show -----------------------------------------------------------------------------------------------------

    def target_ports(self, target: Target) -> Sequence[TargetPort]:
        """As the driver has told last."""
        return self._ports.get(target.tid, ())

    async def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """The sockets that listen."""
        return list(self._sockets)

    async def portals(self) -> list[PortalInfo]:
        """The open portals; none while there is no driver."""
        return [one.info() for one in await self._shown(answers.PORTALS) or ()]

    async def sessions(self) -> list[SessionInfo]:
        """The sessions; none while there is no driver."""
        found: list[SessionInfo] = []
        told_bytes = 0
        answer_s = self._patience.answer_s
        until = self._host.loop.time() + answer_s
        while len(found) <= NEXUSES_PER_DRIVER_MAX and told_bytes <= SESSIONS_OF_DRIVER_BYTES_MAX:
            answer = await self._ask(Event.SHOW, payload=f"{answers.SESSIONS.name} {len(found)}".encode())
            more = self._parsed(answers.SESSIONS, answer)
            if not more:
                return found
            if self._host.loop.time() > until:  # it may have one more to tell again and again
                self._drop(f"it has not told all its sessions within {answer_s:g} s")
                return []
            told_bytes += len(answer)
            nexuses = self.attendant.nexuses if self.attendant is not None else {}
            found += [one.info(nexuses) for one in more]
        told = f"{len(found)} sessions in {told_bytes} bytes"
        most = f"{NEXUSES_PER_DRIVER_MAX} in {SESSIONS_OF_DRIVER_BYTES_MAX}"
        self._drop(f"it tells of {told}, expected at most {most}")
        return []

    async def urls(self, target: Target) -> dict[int, list[str]]:
        """The addresses of each LUN that everybody sees."""
        found = await self._shown(answers.URLS, target.tid) or {}
        return {lun: found.get(lun, []) for lun in target.luns.luns()}

    async def statistics(self) -> dict[str, Any]:
        """Those of the transport, and of the driver."""
        own = await self._shown(answers.STATISTICS) or {}
        about, attendant = self._about(), self.attendant
        if attendant is not None:
            about |= {
                "requests": attendant.end.taken,
                "tasks": len(attendant.tasks),
                "nexuses": len(attendant.nexuses),
            }
        return {**own, "process": about}

    @abstractmethod
    def _about(self) -> dict[str, Any]:
        """Where the driver comes from, for statistics."""

    async def _shown(self, shown: Shown[_T], target: int = 0) -> _T | None:
        return self._parsed(shown, await self._ask(Event.SHOW, payload=shown.name.encode(), target=target))

    def _parsed(self, shown: Shown[_T], answer: bytes) -> _T | None:
        """An answer; None: it is empty, or can't be, and the driver is dropped."""
        if not answer:
            return None
        try:
            return shown.parse(answer)
        except RingError as error:
            self._drop(str(error))
            return None

    def _drop(self, reason: str) -> None:
        if self.attendant is not None:
            self.attendant.drop(reason)

    async def _refresh_ports(self) -> None:
        """Ask for the target ports of all targets: commands need them and can't wait."""
        attendant = self.attendant
        try:
            shown = await self._shown(answers.PORTS)
            if attendant is not None and shown is not None:
                told = {tid: checked_target_ports(ports) for tid, ports in shown.items()}
                self._ports = {tid: ports for tid, ports in told.items() if tid in attendant.targets}
        except Refused as error:
            self._log.warning("the driver does not tell its target ports: %s", error)
        except RingError as error:
            self._drop(str(error))

    def _target_told(self) -> None:
        """There is another target: ask for its ports when the driver knows it."""
        task = self._host.loop.create_task(self._refresh_ports())
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)

    async def _ask(
        self, kind: Event, *, payload: bytes = b"", target: int = 0, timeout_s: float = 0, until_done: bool = False
    ) -> bytes:
        """Tell the driver something and wait for its answer; empty when there is no driver, or it dies meanwhile.

        :param until_done: for what ends when the last command has: the caller knows how long to wait.
        :raises Refused: it says no.
        """
        answer_s = None if until_done else self._patience.answer_s
        try:
            return await self._asked(kind, payload=payload, target=target, timeout_s=timeout_s, answer_s=answer_s)
        except Refused:
            raise
        except RingError:
            return b""

    async def _asked(
        self, kind: Event, *, payload: bytes = b"", target: int = 0, timeout_s: float = 0, answer_s: float | None
    ) -> bytes:
        """Tell the driver something and wait for its answer.

        A driver that does not answer in time hangs: it is dropped.

        :param answer_s: its time; None: however long it takes.
        :raises Refused: it says no, or has too much to do.
        :raises RingError: there is no driver, or it dies meanwhile.
        """
        attendant = self.attendant
        if attendant is None:
            raise RingError("there is no driver now")
        answer = attendant.events.post(kind, payload=payload, target=target, timeout_s=timeout_s)
        # no timeout around it: when this process itself has stood still, the answer may be there all the same
        await asyncio.wait({answer}, timeout=answer_s)
        if answer.done():
            return answer.result()
        if attendant.events.crowded:
            raise Refused("the driver has too much to do")
        attendant.drop(f"it has not answered {kind.name} within {answer_s:g} s")
        raise RingError("the driver hangs")


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(round_trip=True).encode()
