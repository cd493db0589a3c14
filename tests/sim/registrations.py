"""Persistent reservations as SPC-5 5.14 has them, written once more and simply: what the daemon's are compared with."""

from dataclasses import dataclass, field, replace

from tgtcore.reservations import NexusIdentity, State
from tgtcore.scsi.persistent import OutAction, ReservationType

_READS_REFUSED = (ReservationType.EXCLUSIVE_ACCESS, ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY)
_FOR_REGISTRANTS = (
    ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
)
TYPES = (ReservationType.WRITE_EXCLUSIVE, ReservationType.EXCLUSIVE_ACCESS, *_FOR_REGISTRANTS)
"""The types that the simulation uses."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One PERSISTENT RESERVE OUT."""

    action: OutAction
    key: int = 0
    service_key: int = 0
    type: ReservationType = ReservationType.WRITE_EXCLUSIVE
    persist: bool = False


@dataclass(frozen=True)
class Registrations:
    """Who is registered, and who holds the reservation."""

    keys: dict[NexusIdentity, int] = field(default_factory=dict)
    holder: NexusIdentity | None = None
    type: ReservationType | None = None
    persist: bool = False

    @classmethod
    def of(cls, state: State) -> "Registrations":
        """What a logical unit says."""
        held = state.reservation
        holder, kind = (None, None) if held is None else (held.holder, held.type)
        return cls(dict(state.registrations), holder, kind, state.persist)

    def __str__(self) -> str:
        names = {nexus: nexus.transport_id[4:].split(b",")[0].decode() for nexus in self.keys}
        holder = None if self.holder is None else names[self.holder]
        return f"{ {names[nexus]: key for nexus, key in self.keys.items()} } {holder=} {self.type} {self.persist=}"

    def refuses(self, nexus: NexusIdentity, *, writes: bool) -> bool:
        """Whether a command that reads or writes the medium ends with RESERVATION CONFLICT."""
        if self.type is None or nexus == self.holder:
            return False
        if self.type in _FOR_REGISTRANTS and nexus in self.keys:
            return False
        return writes or self.type in _READS_REFUSED

    def after_power_loss(self) -> "Registrations":
        """What is left of it."""
        return self if self.persist and self.keys else Registrations()

    def after(self, nexus: NexusIdentity, change: Change) -> "Registrations":
        """What a change leads to that was answered GOOD."""
        return _ACTIONS[change.action](self, nexus, change)

    def _without(self, gone: set[NexusIdentity]) -> "Registrations":
        keys = {nexus: key for nexus, key in self.keys.items() if nexus not in gone}
        if self.holder in gone:
            return replace(self, keys=keys, holder=None, type=None)
        return replace(self, keys=keys)


def _register(now: Registrations, nexus: NexusIdentity, change: Change) -> Registrations:
    if change.service_key:
        return replace(now, keys={**now.keys, nexus: change.service_key}, persist=change.persist)
    if nexus not in now.keys:
        return now
    return replace(now._without({nexus}), persist=change.persist)


def _reserve(now: Registrations, nexus: NexusIdentity, change: Change) -> Registrations:
    return replace(now, holder=nexus, type=change.type)


def _release(now: Registrations, nexus: NexusIdentity, change: Change) -> Registrations:
    return replace(now, holder=None, type=None) if now.holder == nexus else now


def _clear(now: Registrations, nexus: NexusIdentity, change: Change) -> Registrations:
    return replace(now, keys={}, holder=None, type=None)


def _preempt(now: Registrations, nexus: NexusIdentity, change: Change) -> Registrations:
    victims = {other for other, key in now.keys.items() if key == change.service_key}
    took_over = now.holder in victims
    after = now._without(victims - {nexus} if took_over else victims)
    return replace(after, holder=nexus, type=change.type) if took_over else after


_ACTIONS = {
    OutAction.REGISTER: _register,
    OutAction.REGISTER_AND_IGNORE_EXISTING_KEY: _register,
    OutAction.RESERVE: _reserve,
    OutAction.RELEASE: _release,
    OutAction.CLEAR: _clear,
    OutAction.PREEMPT: _preempt,
    OutAction.PREEMPT_AND_ABORT: _preempt,
}
