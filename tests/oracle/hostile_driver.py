"""A plugin for a daemon under test: a transport whose driver process serves, and then does what :mod:`oracle.attacks` says."""

import socket
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from isolation.hostile import Hostile
from oracle import attacks
from pydantic import BaseModel

import tgtcore.daemon.transports
from tgtcore import Host, Options, PortalInfo, SessionInfo, Target, TargetPort, Transport, hookimpl
from tgtcore.isolation.attendant import Attendant
from tgtcore.isolation.orders import Orders
from tgtcore.isolation.process_driver import ProcessDriver
from tgtcore.isolation.ring_driver import Patience
from tgtcore.ring import Attached

TGTCORE_API = 1
NAME = "hostile"
_CALM_S = 0.05
"""Enough for an answer to a question."""


class HostileOptions(Options):
    """What its processes do, one after another."""

    attacks: tuple[str, ...] = ()
    """Names of functions of :mod:`oracle.attacks`."""
    events: int = 5000
    """How much each process does before it breaks a rule, if none of what it does breaks one."""
    life: int = 0
    """How many processes there were before."""
    begin: Path
    """They wait until this is there."""
    patience: dict[str, float] = {}
    """Of the daemon with it."""


class HostileTransport(Transport):
    """Starts as it should."""

    Options: ClassVar[type[BaseModel]] = HostileOptions
    protocol: ClassVar[int] = 5
    options: HostileOptions

    def __init__(self, host: Host, options: BaseModel) -> None:
        super().__init__(host, options)
        self._asked_for: set[str] = set()

    async def start(self) -> None:
        """Fine."""

    async def stop_listening(self) -> None:
        """Fine."""

    async def close(self) -> None:
        """Fine."""

    async def drop_target(self, target: Target) -> None:
        """Fine."""

    async def drop_session(self, session_id: str) -> bool:
        """There is none."""
        return False

    async def apply_options(self, options: BaseModel) -> None:
        """Fine."""

    def portals(self) -> list[PortalInfo]:
        """None."""
        return []

    def sessions(self) -> list[SessionInfo]:
        """None."""
        return []

    def target_ports(self, target: Target) -> list[TargetPort]:
        """One."""
        if not target.leases.draining:
            self._asked_for.add("ports")
            self._begin_when_asked_for_everything()
        return [TargetPort(f"{target.name},1", 1, 1, 5)]

    def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        """None."""
        self._asked_for.add("sockets")
        self._begin_when_asked_for_everything()
        return []

    def _begin_when_asked_for_everything(self) -> None:
        if self._asked_for == {"ports", "sockets"}:
            self._asked_for.add("nothing more")
            self.host.loop.call_later(_CALM_S, self._wait)

    def _wait(self) -> None:
        self.host.loop.call_later(_CALM_S, self._take_apart if self.options.begin.exists() else self._wait)

    def _take_apart(self) -> None:
        options, end = self.options, self.host.correspondent.end  # type: ignore[attr-defined]
        attached = Attached(end._link, end._memory, end._request_bell, end._response_bell, "", 0)
        hostile = Hostile(attached, options.life, 0, end._next_request, end._next_response)
        how = options.attacks[options.life % len(options.attacks)]
        attacks.begin(hostile, how, options.events)


class _Keeper(ProcessDriver):
    """Counts what all processes have done, and why each was dropped; asks none of them for that."""

    def __init__(self, orders: Orders, host: Host, options: BaseModel) -> None:
        assert isinstance(options, HostileOptions)
        super().__init__(orders, host, options, Patience(**options.patience))
        self._before = 0
        self._reasons: Counter[str] = Counter()
        self._former: list[Attendant] = []

    async def _launch(self) -> None:
        assert isinstance(self._options, HostileOptions)
        self._options = self._options.model_copy(update={"life": self.starts})
        await super()._launch()

    def _lost(self, reason: str) -> None:
        assert self.attendant is not None
        self._former.append(self.attendant)
        self._before += self.attendant.end.taken
        self._reasons["".join(letter for letter in reason if not letter.isdigit())[:80]] += 1
        super()._lost(reason)

    async def statistics(self) -> dict[str, Any]:
        """Of all processes."""
        now = self.attendant
        return {
            "events": self._before + (now.end.taken if now else 0),
            "reasons": dict(self._reasons),
            "pid": self.child.pid if self.child else 0,
            "starts": self.starts,
            "left": sum(len(one.tasks) + len(one.nexuses) for one in self._former),
        }


def _driver(orders: Orders, host: Host, options: BaseModel) -> ProcessDriver:
    return (_Keeper if orders.transport == NAME else ProcessDriver)(orders, host, options)


setattr(tgtcore.daemon.transports, "ProcessDriver", _driver)  # noqa: B010


@hookimpl
def tgt_register_transports(registry: Any) -> None:
    """Offer it."""
    registry.transport(NAME, HostileTransport)
