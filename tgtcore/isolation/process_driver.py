"""A transport in a driver process, as the daemon deals with it: started, asked, started anew when it dies."""

import asyncio
import json
import logging
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tgtcore.errors import ConfigError, RingError
from tgtcore.isolation.attendant import Attendant
from tgtcore.isolation.child import Child
from tgtcore.isolation.events import Refused
from tgtcore.isolation.orders import Orders
from tgtcore.isolation.privileges import user_ids
from tgtcore.isolation.target_news import TargetNews
from tgtcore.nexus import TargetPort
from tgtcore.ring import ATTACH_S, Event, Geometry, accept_driver
from tgtcore.target import Target
from tgtcore.transport import Driver, Host, PortalInfo, SessionInfo

_ANSWER_S = 10.0
"""How long a driver may take for an answer."""
_IDS_PER_EVENT = 1000
_EXIT_S = 5.0
_GEOMETRY = Geometry()


@dataclass(frozen=True)
class Patience:
    """How soon a driver process that has died is started anew.

    :param first_s: the first time; each further time in a row it is twice as long.
    :param longest_s: never longer than this.
    :param well_s: one that has served for so long was well: the next death is a first one.
    """

    first_s: float = 0.1
    longest_s: float = 10.0
    well_s: float = 5.0


class ProcessDriver(Driver):
    """A transport in a process of its own.

    :param orders: what the process is told.
    :param host: what the transport may ask for.
    """

    reloads = True

    def __init__(self, orders: Orders, host: Host, options: BaseModel, patience: Patience = Patience()) -> None:
        self.child: Child | None = None
        """The process, while there is one."""
        self.attendant: Attendant | None = None
        """The core's side of its ring, while there is one."""
        self.starts = 0
        """How often a process was started."""
        self._orders = orders
        self._host = host
        self._options = options
        self._patience = patience
        self._log = logging.getLogger(f"tgtcore.driver.{orders.transport}")
        self._ports: dict[int, list[TargetPort]] = {}
        self._sockets: list[tuple[str, socket.socket]] = []
        """Those on which the driver listens: connections wait in them while there is no process."""
        self._news = TargetNews(host, self._target_told)
        self._wanted = False
        """Whether it is to be started anew when it dies."""
        self._listening = True
        """Whether a process that is started anew opens its portals."""
        self._deaths = 0
        self._serving_since = 0.0
        self._restarting: asyncio.Task[None] | None = None
        self._exit: asyncio.Future[None] | None = None
        self._refreshing: set[asyncio.Task[None]] = set()

    @property
    def options(self) -> BaseModel:
        """The options in force."""
        return self._options

    # ---- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the process and let it open its portals; one that has stopped listening opens them again.

        :raises ConfigError: it can't be started, or can't open a portal; nothing is left of it.
        """
        self._listening = True
        if self._wanted:
            await self._listen_again()
            return
        if self._orders.user:
            user_ids(self._orders.user)
        self._news.follow()
        try:
            await self._launch()
        except BaseException as error:
            await self._end_process()
            if isinstance(error, RingError | OSError):
                raise ConfigError(str(error) or "the driver process does not answer") from error
            raise
        self._wanted = True

    async def _listen_again(self) -> None:
        try:
            await self._ask(Event.START)
        except Refused as error:
            self._listening = False
            raise ConfigError(str(error)) from None
        await self._told_apart()

    async def _launch(self) -> None:
        """One process from its start to its first portal."""
        self.starts += 1
        loop = self._host.loop
        self._exit = loop.create_future()
        child = self.child = Child(self._orders, loop, self._log, self._exited)
        attached = await accept_driver(child.link, _GEOMETRY, peer=(child.pid, self._uid()))
        attendant = self.attendant = Attendant(self._host, attached, self._inherited, self._lost)
        answers = [attendant.events.post(Event.OPTIONS, payload=_json(self._options))]
        answers += self._news.tell_all(attendant)
        if self._listening:
            answers.append(attendant.events.post(Event.START))
        async with asyncio.timeout(ATTACH_S + _ANSWER_S):
            for answer in answers:
                await answer
        await self._told_apart()
        self._serving_since = loop.time()

    async def _told_apart(self) -> None:
        """Learn what others ask for when the driver can't be asked: its target ports, and its sockets, for the process after it."""
        await self._refresh_ports()
        attendant = self.attendant
        if attendant is None:
            return
        await self._ask(Event.LISTENING)
        attendant.link_readable()
        former, self._sockets, attendant.passed_on = self._sockets, attendant.passed_on, []
        for _, listening in former:
            listening.close()

    def _inherited(self, address: str) -> socket.socket | None:
        """A socket for the transport: that of the process before, or one that the daemon has inherited."""
        for asked, listening in self._sockets:
            if asked == address:
                return listening
        found = self._host.inherited(address)
        if found is not None:
            self._sockets.append((address, found))
        return found

    def _uid(self) -> int:
        return user_ids(self._orders.user)[0] if self._orders.user else 0

    def _lost(self, reason: str) -> None:
        """The driver has hung up, or was dropped: its process must not outlive that."""
        self._log.error("the driver is dropped: %s; its nexuses and commands are reclaimed", reason)
        self.attendant = None
        if self.child is not None:
            self.child.kill()

    def _exited(self, status: int) -> None:
        child, self.child = self.child, None
        if self.attendant is not None:
            self.attendant.close()
            self.attendant = None
        if child is not None:
            child.link.close()
        if self._exit is not None and not self._exit.done():
            self._exit.set_result(None)
        if self._wanted:
            self._restart_later(status)

    def _restart_later(self, status: int) -> None:
        loop = self._host.loop
        if loop.time() - self._serving_since >= self._patience.well_s:
            self._deaths = 0
        wait_s = min(self._patience.first_s * 2**self._deaths, self._patience.longest_s)
        self._deaths += 1
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        self._log.error("the driver process has ended %s; it is started again in %.1f s", how, wait_s)
        self._restarting = loop.create_task(self._restart(wait_s))

    async def _restart(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        try:
            await self._launch()
        except Exception as error:
            self._log.error("the driver process could not be started: %s", error or type(error).__name__)
            if self.child is not None:
                self.child.kill()  # its end starts the next one
            elif self._restarting is asyncio.current_task():  # its end has not asked for another one yet
                self._restart_later(1)
        else:
            self._log.info("the driver process serves again")

    async def _end_process(self) -> None:
        """See that nothing of the process is left."""
        self._wanted = False
        self._news.forget()
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        if self.attendant is not None:
            self.attendant.close()
            self.attendant = None
        if self.child is not None:
            assert self._exit is not None
            await asyncio.wait({self._exit}, timeout=_EXIT_S)
            if self.child is not None:
                self.child.kill()
                await self._exit
        for _, listening in self._sockets:
            listening.close()
        self._sockets.clear()

    async def stop_listening(self) -> None:
        """Let it close its portals."""
        self._listening = False
        await self._ask(Event.STOP_LISTENING)
        await self._told_apart()

    async def ask_to_log_out(self, session_ids: Collection[str], within_s: int) -> None:
        """Let it ask initiators to log out, so many at a time as an event has room for."""
        ids = list(session_ids)
        for first in range(0, len(ids), _IDS_PER_EVENT):
            payload = json.dumps(ids[first : first + _IDS_PER_EVENT]).encode()
            await self._ask(Event.ASK_TO_LOG_OUT, payload=payload, timeout_s=within_s)

    async def drop_target(self, target: Target) -> None:
        """Let it end the sessions with a target."""
        await self._ask(Event.DROP_TARGET, target=target.tid, answer_s=None)

    async def drop_session(self, session_id: str) -> bool:
        """Let it end a session."""
        return await self._ask(Event.DROP_SESSION, payload=session_id.encode(), answer_s=None) == b"1"

    async def close(self) -> None:
        """Let it end every session, then see that the process ends."""
        self._wanted = False
        try:
            await self._ask(Event.CLOSE, answer_s=None)
        except RingError as error:
            self._log.warning("the driver did not end as it should: %s", error)
        finally:
            await self._end_process()

    async def apply_options(self, options: BaseModel) -> None:
        """Hand new options over.

        :raises ConfigError: the transport does not take them; then nothing has changed.
        """
        if self.attendant is not None:
            try:
                await self._ask(Event.OPTIONS, payload=_json(options))
            except Refused as error:
                raise ConfigError(str(error)) from None
        self._options = options
        await self._told_apart()

    async def reload(self, options: BaseModel, timeout_s: float) -> None:
        """Start the process anew: portals stay open, sessions end, and initiators log in again.

        :raises ConfigError: it can't be started; it is tried again and again.
        """
        self._options = options
        if self.child is not None and self._exit is not None:
            await self._ask(Event.CLOSE, timeout_s=timeout_s)
            await asyncio.wait({self._exit}, timeout=_EXIT_S)
            if self.child is not None:
                self.child.kill()
            await self._exit
        if self._restarting is not None:
            await asyncio.shield(self._restarting)
        if self.attendant is None:
            raise ConfigError(
                f"transport {self._orders.transport}: the new driver process does not serve yet; see the log"
            )

    # ---- for show -----------------------------------------------------------------------------------------------------

    def target_ports(self, target: Target) -> Sequence[TargetPort]:
        """As the driver has told last."""
        return self._ports.get(target.tid, ())

    async def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """The sockets that listen."""
        return list(self._sockets)

    async def portals(self) -> list[PortalInfo]:
        """The open portals; none while there is no process."""
        return [PortalInfo(**one) for one in await self._shown("portals") or ()]

    async def sessions(self) -> list[SessionInfo]:
        """The sessions; none while there is no process."""
        found: list[SessionInfo] = []
        while True:
            more = await self._shown(f"sessions {len(found)}") or ()
            nexuses = self.attendant.nexuses if self.attendant is not None else {}
            found += [SessionInfo(**{**one, "nexus": nexuses.get(int(one["nexus"]))}) for one in more]
            if not more:
                return found

    async def urls(self, target: Target) -> dict[int, list[str]]:
        """The addresses of each LUN that everybody sees."""
        found = await self._shown("urls", target.tid) or {}
        return {lun: found.get(str(lun), []) for lun in target.luns.luns()}

    async def statistics(self) -> dict[str, Any]:
        """Those of the transport, and of its process."""
        own = await self._shown("statistics") or {}
        child, attendant = self.child, self.attendant
        process = {"pid": child.pid if child else None, "starts": self.starts}
        if attendant is not None:
            process |= {
                "requests": attendant.end.taken,
                "tasks": len(attendant.tasks),
                "nexuses": len(attendant.nexuses),
            }
        return {**own, "process": process}

    async def _shown(self, what: str, target: int = 0) -> Any:
        answer = await self._ask(Event.SHOW, payload=what.encode(), target=target)
        return json.loads(answer) if answer else None

    async def _refresh_ports(self) -> None:
        """Ask for the target ports of all targets: commands need them and can't wait."""
        shown = await self._shown("ports") or {}
        self._ports = {int(tid): [TargetPort(**port) for port in ports] for tid, ports in shown.items()}

    def _target_told(self) -> None:
        """There is another target: ask for its ports when the driver knows it."""
        task = self._host.loop.create_task(self._refresh_ports())
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)

    async def _ask(
        self,
        kind: Event,
        *,
        payload: bytes = b"",
        target: int = 0,
        timeout_s: float = 0,
        answer_s: float | None = _ANSWER_S,
    ) -> bytes:
        """Tell the driver something and wait for its answer; empty when there is no driver, or it dies meanwhile.

        A driver that does not answer in time hangs: it is dropped, and its process ended.

        :param answer_s: its time; None for what ends when the last command has, for which the caller knows how long to wait.
        :raises Refused: it says no.
        """
        attendant = self.attendant
        if attendant is None:
            return b""
        answer = attendant.events.post(kind, payload=payload, target=target, timeout_s=timeout_s)
        try:
            async with asyncio.timeout(answer_s):
                return await answer
        except TimeoutError:
            attendant.drop(f"it has not answered {kind.name} within {answer_s:g} s")
            return b""
        except Refused:
            raise
        except RingError:
            return b""


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(round_trip=True).encode()
