"""SPC-2 reservations (RESERVE and RELEASE): the whole logical unit belongs to one I_T nexus until it lets go or is lost."""

from dataclasses import dataclass

from tgtcore.errors import ReservationConflict
from tgtcore.reservations.classes import ReservationClass


@dataclass(frozen=True)
class NexusIdentity:
    """What a reservation belongs to: it survives sessions, connections and restarts.

    :param transport_id: TransportID of the initiator port (SPC-5 7.6.4).
    :param relative_id: relative identifier of the target port.
    :param port_name: the initiator's name, for show.
    """

    transport_id: bytes
    relative_id: int
    port_name: str = ""


class Reservations:
    """The reservations of one logical unit.

    :ivar active: whether anything is reserved; while it is False no command can conflict.
    """

    __slots__ = ("_holder", "active")

    def __init__(self) -> None:
        self.active = False
        self._holder: NexusIdentity | None = None

    @property
    def holder(self) -> NexusIdentity | None:
        """Who holds the logical unit by RESERVE."""
        return self._holder

    def conflict(self, identity: NexusIdentity, kind: ReservationClass) -> bool:
        """Whether a command of that kind from that nexus must end with RESERVATION CONFLICT."""
        return self._holder is not None and self._holder != identity and kind is not ReservationClass.ALWAYS

    def reserve(self, identity: NexusIdentity) -> None:
        """RESERVE (SPC-2 7.21): idempotent for the holder.

        :raises ReservationConflict: another nexus holds the logical unit.
        """
        if self._holder not in (None, identity):
            raise ReservationConflict("reserved by another nexus")
        self._set(identity)

    def release(self, identity: NexusIdentity) -> None:
        """RELEASE (SPC-2 7.16): from anyone but the holder it does nothing, and is no error."""
        if self._holder == identity:
            self._set(None)

    def nexus_lost(self, identity: NexusIdentity) -> None:
        """The nexus is gone, and its reservation with it."""
        self.release(identity)

    def reset(self) -> None:
        """The logical unit was reset: nothing is reserved any more."""
        self._set(None)

    def _set(self, holder: NexusIdentity | None) -> None:
        self._holder = holder
        self.active = holder is not None
