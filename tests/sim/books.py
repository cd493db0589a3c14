"""What the judge knows of one logical unit."""

from typing import TYPE_CHECKING, Any

from sim.registrations import Change, Registrations

from tgtcore import Filter, LogicalUnit, Store
from tgtcore.reservations import NexusIdentity

if TYPE_CHECKING:
    from sim.store import SimStore
    from sim.task import SimTask


def _beneath_filters(store: Store) -> "SimStore":
    while isinstance(store, Filter):
        store = store.base
    return store  # type: ignore[return-value]


class Book:
    """The accounts of one logical unit, from when it is made until it is closed.

    :param registrations: what it must have from before; None: that is not known.
    """

    def __init__(self, lu: LogicalUnit, registrations: Registrations | None) -> None:
        self.lu = lu
        self.accepted = 0
        self.ended = 0
        self.changing: list[SimTask] = []
        """PERSISTENT RESERVE OUT commands that have not ended."""
        assert lu.store is not None
        self.contents = _beneath_filters(lu.store.store).medium.contents
        """The model of its medium."""
        self.registrations = registrations or Registrations()
        self.sure = registrations is not None
        """Whether nobody changes the registrations, and every change was seen."""
        self.silent = False
        """Whether TAS was ever zero: then initiators may not be told of what others aborted."""

    def writes_through(self) -> bool:
        """Whether a write is durable when it ends."""
        device: Any = self.lu.device
        return bool(device.write_through)

    def refuses(self, nexus: NexusIdentity, touches: str) -> bool | None:
        """Whether a reservation is in the way of a command that reads or writes, if that is known."""
        holder = self.lu.reservations.holder
        if holder is not None:
            return holder != nexus
        return None if self.changing else self.registrations.refuses(nexus, writes=touches == "write")

    def changed(self, nexus: NexusIdentity, change: Change, *, sure: bool) -> None:
        """A PERSISTENT RESERVE OUT has ended, and has perhaps changed the registrations."""
        if sure and self.sure:
            self.registrations = self.registrations.after(nexus, change)
            return
        found = Registrations.of(self.lu.reservations.state)
        known = (self.registrations, self.registrations.after(nexus, change))
        self.sure = self.sure and not self.changing and found in known
        self.registrations = found

    def compare(self) -> str | None:
        """How the registrations differ from those that the logical unit has."""
        found = Registrations.of(self.lu.reservations.state)
        if self.changing:
            return None
        if not self.sure:
            self.registrations, self.sure = found, True
        if (found.keys, found.holder, found.type) != (
            self.registrations.keys,
            self.registrations.holder,
            self.registrations.type,
        ):
            return f"{self.lu} has the registrations {found}, expected {self.registrations}"
        return None

    def check(self) -> str | None:
        """How its ledger differs from this one."""
        lu = self.lu
        if (lu.accepted, lu.ended, lu.missing) != (self.accepted, self.ended, 0):
            return (
                f"{lu} has accepted {lu.accepted} and ended {lu.ended} commands and misses {lu.missing}, "
                f"expected {self.accepted} and {self.ended}"
            )
        return None

    def left(self) -> Registrations | None:
        """What the next one of this name must have, if that is known."""
        if self.changing or not self.sure:
            return None
        return self.registrations.after_power_loss()
