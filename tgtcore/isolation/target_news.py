"""Tells a driver of the targets of its transport: those that there are, and what changes."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from tgtcore import signals
from tgtcore.isolation.attendant import Attendant
from tgtcore.ring import Event, words
from tgtcore.scsi.lun import encode_lun
from tgtcore.target import Target
from tgtcore.transport import Host


class TargetNews:
    """Follows the targets of one transport.

    :param host: knows them.
    :param told: called when the driver was told of another target.
    """

    def __init__(self, host: Host, told: Callable[[], None]) -> None:
        self._host = host
        self._told = told
        self._attendant: Attendant | None = None
        self._connected = (
            (signals.target_added, self._added),
            (signals.target_changed, self._changed),
            (signals.target_removed, self._removed),
            (signals.lun_mapped, self._luns_changed),
            (signals.lun_unmapped, self._luns_changed),
        )

    def follow(self) -> None:
        """Tell of changes from now on."""
        for signal, listener in self._connected:
            signal.connect(listener, weak=False)

    def forget(self) -> None:
        """Tell nothing any more; idempotent."""
        for signal, listener in self._connected:
            signal.disconnect(listener)

    def tell_all(self, attendant: Attendant) -> "Iterator[asyncio.Future[bytes]]":
        """Tell a new driver of every target that there is."""
        self._attendant = attendant
        for target in self._host.targets():
            yield from self._tell_of(attendant, target)

    def _tell_of(self, attendant: Attendant, target: Target) -> "Iterator[asyncio.Future[bytes]]":
        attendant.targets[target.tid] = target
        yield attendant.events.post(Event.TARGET_ADDED, target=target.tid, payload=_described(target))
        yield attendant.events.post(Event.LUNS_CHANGED, target=target.tid, payload=_luns(target))

    def _knows(self, target: Target) -> Attendant | None:
        """The attendant of a driver that was told of a target."""
        attendant = self._attendant
        if attendant is None or attendant.end.closed or attendant.targets.get(target.tid) is not target:
            return None
        return attendant

    def _added(self, target: Target, **_: Any) -> None:
        attendant = self._attendant
        if attendant is not None and not attendant.end.closed and self._host.find_target(target.name) is target:
            list(self._tell_of(attendant, target))
            self._told()

    def _changed(self, target: Target, **_: Any) -> None:
        attendant = self._knows(target)
        if attendant is not None:
            attendant.events.post(Event.TARGET_CHANGED, target=target.tid, payload=_described(target))
            self._told()

    def _removed(self, target: Target, **_: Any) -> None:
        attendant = self._knows(target)
        if attendant is not None:
            del attendant.targets[target.tid]
            attendant.events.post(Event.TARGET_REMOVED, target=target.tid)

    def _luns_changed(self, target: Target, **_: Any) -> None:
        attendant = self._knows(target)
        if attendant is not None:
            attendant.events.post(Event.LUNS_CHANGED, target=target.tid, payload=_luns(target))


def _described(target: Target) -> bytes:
    about = {
        "alias": target.alias,
        "options": json.loads(target.options.model_dump_json(round_trip=True)),
        "open": not target.leases.draining,
        "drained": target.drained,
    }
    return words.join((target.name.encode(),)) + json.dumps(about).encode()


def _luns(target: Target) -> bytes:
    return b"".join(encode_lun(lun)[::-1] for lun in target.luns.luns())
