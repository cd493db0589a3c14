"""Registrations and the persistent reservation of a logical unit, as a value that actions turn into another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tgtcore.reservations.classes import ADMITS_REGISTRANTS, ALL_REGISTRANTS
from tgtcore.scsi.persistent import ReservationType


@dataclass(frozen=True)
class NexusIdentity:
    """What a registration or reservation belongs to: it survives sessions, connections and restarts.

    :param transport_id: TransportID of the initiator port (SPC-5 7.6.4), in canonical bytes.
    :param relative_id: relative identifier of the target port.
    :param port_name: name of the target port: it tells ports of several targets with one logical unit apart.
    """

    transport_id: bytes
    relative_id: int
    port_name: str = ""


@dataclass(frozen=True)
class Reservation:
    """A persistent reservation.

    :param holder: who holds it; None: every registered nexus (all registrants).
    """

    type: ReservationType
    holder: NexusIdentity | None

    @classmethod
    def by(cls, nexus: NexusIdentity, kind: ReservationType) -> "Reservation":
        """The reservation that ``nexus`` establishes."""
        return cls(kind, None if kind in ALL_REGISTRANTS else nexus)


@dataclass(frozen=True)
class State:
    """Who is registered with which key, and the reservation.

    Two rules hold always: whoever holds the reservation is registered, and without a registration nothing is reserved.

    :param generation: PRGENERATION: counts the actions that may change registrations.
    :param persist: APTPL: keep all this over power loss.
    """

    registrations: Mapping[NexusIdentity, int] = field(default_factory=dict)
    reservation: Reservation | None = None
    generation: int = 0
    persist: bool = False

    def holds(self, nexus: NexusIdentity) -> bool:
        """Whether ``nexus`` is a persistent reservation holder (SPC-5 5.14.10)."""
        held = self.reservation
        return held is not None and nexus in self.registrations and held.holder in (None, nexus)

    def admits_registrants(self) -> bool:
        """Whether there is a reservation that keeps out only who is not registered."""
        return self.reservation is not None and self.reservation.type in ADMITS_REGISTRANTS

    def with_key(self, key: int, nexuses: Iterable[NexusIdentity]) -> "State":
        """Register nexuses, or give those that are registered another key."""
        return replace(self, registrations={**self.registrations, **dict.fromkeys(nexuses, key)})

    def without(self, nexuses: Iterable[NexusIdentity]) -> "State":
        """Remove registrations; the reservation goes with its holder, or with the last registrant."""
        gone = set(nexuses)
        left = {nexus: key for nexus, key in self.registrations.items() if nexus not in gone}
        held = self.reservation
        if held is not None and (held.holder in gone or not left):
            held = None
        return replace(self, registrations=left, reservation=held)

    def counted(self) -> "State":
        """The next generation."""
        return replace(self, generation=self.generation + 1 & 0xFFFFFFFF)

    def others(self, nexus: NexusIdentity) -> list[NexusIdentity]:
        """Every registered nexus but this one."""
        return [other for other in self.registrations if other != nexus]
