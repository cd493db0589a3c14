"""A driver process: a transport of a plugin, alone with its initiators, and the ring to the core."""

import asyncio
import json
import logging
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from pydantic import BaseModel

from tgtcore import signals
from tgtcore.errors import ConfigError, TgtError, describe
from tgtcore.isolation.correspondent import Correspondent
from tgtcore.isolation.remote_host import RemoteHost
from tgtcore.isolation.remote_nexus import RemoteNexus
from tgtcore.isolation.signalling import Teller
from tgtcore.options import NoOptions
from tgtcore.ring import AckStatus, Attached, Event, messages, send_socket, words
from tgtcore.scsi.lun import decode_lun
from tgtcore.target import Target
from tgtcore.transport import SessionInfo, Transport

_log = logging.getLogger(__name__)

SESSIONS_PER_ANSWER = 1000


class Told(NamedTuple):
    """An event as it came."""

    kind: Event
    payload: bytes
    target: int
    timeout_s: float


class DriverProcess:
    """What a driver process does between attaching and its end.

    :param name: the transport's registered name.
    :param cls: its class.
    """

    def __init__(self, name: str, cls: type[Transport], attached: Attached, loop: asyncio.AbstractEventLoop) -> None:
        self.transport: Transport | None = None
        """The transport, once its options are known."""
        self._name = name
        self._cls = cls
        self._loop = loop
        self._host = RemoteHost(loop)
        self._events = {
            Event.OPTIONS: self._options,
            Event.TARGET_ADDED: self._target_added,
            Event.TARGET_CHANGED: self._target_changed,
            Event.TARGET_REMOVED: self._target_removed,
            Event.LUNS_CHANGED: self._luns_changed,
            Event.START: self._start,
            Event.STOP_LISTENING: self._stop_listening,
            Event.ASK_TO_LOG_OUT: self._ask_to_log_out,
            Event.DROP_TARGET: self._drop_target,
            Event.DROP_SESSION: self._drop_session,
            Event.CLOSE: self._close,
            Event.SHOW: self._show,
            Event.LISTENING: self._listening,
        }
        self._host.correspondent = self._correspondent = Correspondent(
            attached, loop, dict.fromkeys(map(int, Event), self._told)
        )
        self.teller = Teller(self._correspondent, self._host.known)
        """Passes on the signals of the transport, in a process of its own."""
        self._luns: dict[int, list[int]] = {}
        self._serving = False
        """Whether its start has succeeded: the daemon lets go of one that can't start."""
        self._answering: set[asyncio.Task[None]] = set()
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the core has said CLOSE and all has ended, or when the core has gone."""
        attached.link.setblocking(False)
        loop.add_reader(attached.link, self._hung_up)
        self._link = self._host.link = attached.link

    def _hung_up(self) -> None:
        """What the core sends is asked for and taken at once, so this is its end."""
        self._loop.remove_reader(self._link)
        if not self.ended.done():
            _log.log(logging.ERROR if self._serving else logging.DEBUG, "the daemon has gone")
            self.ended.set_result(None)

    # ---- events -------------------------------------------------------------------------------------------------------

    def _told(self, slots: memoryview, at: int) -> None:
        kind, _, _, length, event_id, buffer, target, timeout_ms, _ = messages.EVENT.unpack_from(slots, at)
        payload = bytes(self._correspondent.end.event_buffer(buffer)[:length])
        told = Told(Event(kind), payload, target, timeout_ms / 1000)
        answer = self._loop.create_task(self._answer(event_id, buffer, told))
        self._answering.add(answer)
        answer.add_done_callback(self._answering.discard)

    async def _answer(self, event_id: int, buffer: int, told: Told) -> None:
        status, payload = AckStatus.DONE, b""
        try:
            payload = await self._events[told.kind](told)
        except (TgtError, OSError) as error:
            status, payload = AckStatus.FAILED, describe(error).encode()
        except Exception as error:
            _log.exception("%s failed inside", told.kind.name)
            status, payload = AckStatus.FAILED, f"it failed inside: {type(error).__name__}: {error}".encode()
        self._correspondent.acknowledge(event_id, buffer, status, payload)
        if told.kind is Event.CLOSE and not self.ended.done():
            self._loop.call_soon(self.ended.set_result, None)  # after the answer has been told

    @property
    def _running(self) -> Transport:
        if self.transport is None:
            raise ConfigError(f"transport {self._name} has no options yet")
        return self.transport

    def make_transport(self, options: BaseModel) -> Transport:
        """The transport, made when its options are known."""
        return self._cls(self._host, options)

    async def _options(self, told: Told) -> bytes:
        options = _model(self._cls.Options, told.payload)
        if self.transport is None:
            self.transport = self.make_transport(options)
        else:
            await self.transport.apply_options(options)
        return b""

    async def _start(self, told: Told) -> bytes:
        await self._running.start()
        self._serving = True
        return b""

    async def _stop_listening(self, told: Told) -> bytes:
        await self._running.stop_listening()
        return b""

    async def _close(self, told: Told) -> bytes:
        await self._running.close()
        return b""

    async def _ask_to_log_out(self, told: Told) -> bytes:
        self._running.ask_to_log_out(json.loads(told.payload), int(told.timeout_s))
        return b""

    async def _drop_target(self, told: Told) -> bytes:
        target = self._host.known.get(told.target)
        if target is not None:
            target.leases.shut()
            await self._running.drop_target(target)
        return b""

    async def _drop_session(self, told: Told) -> bytes:
        return b"1" if await self._running.drop_session(told.payload.decode()) else b"0"

    async def _listening(self, told: Told) -> bytes:
        sockets = self._running.listening_sockets()
        for address, listening in sockets:
            send_socket(self._link, address, listening)
        return str(len(sockets)).encode()

    # ---- targets ------------------------------------------------------------------------------------------------------

    def _describe(self, target: Target, told: Told) -> None:
        """Let a target be as the core has it."""
        (name,) = words.split(told.payload, 1)
        about = json.loads(told.payload[2 + len(name) :])
        target.alias = about["alias"]
        target.options = _model(self._cls.TargetOptions, json.dumps(about["options"]).encode())
        target.drained = about["drained"]
        if about["open"]:
            target.leases.open()
        else:
            target.leases.shut()

    async def _target_added(self, told: Told) -> bytes:
        (name,) = words.split(told.payload, 1)
        target = Target(name.decode(), told.target, self._name, NoOptions())
        self._describe(target, told)
        target.ports = lambda: self._running.target_ports(target)
        self._host.known[told.target] = target
        signals.emit(signals.target_added, target)
        return b""

    async def _target_changed(self, told: Told) -> bytes:
        target = self._host.known[told.target]
        self._describe(target, told)
        return b""

    async def _target_removed(self, told: Told) -> bytes:
        target = self._host.known.pop(told.target, None)
        self._luns.pop(told.target, None)
        if target is not None:
            signals.emit(signals.target_removed, target)
        return b""

    async def _luns_changed(self, told: Told) -> bytes:
        payload = told.payload
        self._luns[told.target] = [decode_lun(payload[at : at + 8][::-1]) for at in range(0, len(payload), 8)]
        if self.transport is not None:
            self.transport.luns_changed(self._host.known[told.target])
        return b""

    # ---- for show -----------------------------------------------------------------------------------------------------

    async def _show(self, told: Told) -> bytes:
        what, _, start = told.payload.decode().partition(" ")
        shown = self._shown(what, told.target, int(start or 0))
        return json.dumps(shown).encode()

    def _shown(self, what: str, number: int, start: int) -> Any:
        transport = self._running
        if what == "portals":
            return [asdict(portal) for portal in transport.portals()]
        if what == "sessions":
            return [_session(one) for one in transport.sessions()[start : start + SESSIONS_PER_ANSWER]]
        if what == "statistics":
            return transport.statistics()
        if what == "urls":
            target = self._host.known[number]
            return {lun: transport.urls(target, lun) for lun in self._luns.get(number, ())}
        if what == "ports":
            return {
                tid: [asdict(port) for port in transport.target_ports(one)] for tid, one in self._host.known.items()
            }
        raise ConfigError(f"{what}: there is nothing of that name to show")


def _session(shown: SessionInfo) -> dict[str, Any]:
    """A session as it goes over the ring, its nexus by number."""
    nexus = shown.nexus
    return {**asdict(replace(shown, nexus=None)), "nexus": nexus.number if isinstance(nexus, RemoteNexus) else 0}


def _model(model: type[BaseModel], payload: bytes) -> BaseModel:
    return model.model_validate_json(payload)
