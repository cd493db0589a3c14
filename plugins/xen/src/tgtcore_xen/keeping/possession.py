"""Which nodes a virtual HBA has: those of its guest, as long as that is there and no other virtual HBA has them."""

from collections.abc import Callable

from tgtcore_xen.guests import Guest
from tgtcore_xen.keeping.nodes import FoundNodes, Nodes
from tgtcore_xen.keeping.refusal import Refusal
from tgtcore_xen.keeping.surroundings import Surroundings
from tgtcore_xen.xenbus.paths import HbaPaths


class Possession:
    """The nodes of one virtual HBA, from when its guest is found until that is gone.

    :param address: what the configuration calls it.
    """

    def __init__(self, address: str, around: Surroundings) -> None:
        self.nodes: Nodes | None = None
        """None: it has none."""
        self._address = address
        self._around = around
        self._identity: tuple[int, str] | None = None
        """Domid and UUID of the guest that the nodes are for."""

    def is_of(self, guest: Guest | None) -> bool:
        """Whether the nodes are those of a guest, and of no other one that had its name or its domid before."""
        return guest is not None and self._identity == _identity_of(guest)

    def find_guest(self, name: str, *, is_in_use: bool) -> Guest | None:
        """The guest of a name.  One that uses its HBA keeps it whatever it is called by now, as when it migrates."""
        guests = self._around.guests
        if is_in_use and self._identity is not None:
            present = guests.found.get(self._identity[0])
            if self.is_of(present):
                return present
        return guests.find(name)

    async def take(self, guest: Guest, dev: int, changed: Callable[[], None]) -> Refusal | None:
        """Have the nodes of a guest; otherwise why not: the guest may have the same HBA by another name.

        :param changed: called whenever they change.
        :raises OSError: the store does not do it; nothing is had.
        """
        around = self._around
        place = HbaPaths(around.machine.domid, guest.domid, dev)
        holder = around.places.setdefault(place, self._address)
        if holder != self._address:
            return Refusal(f"guest {guest} has virtual HBA {dev} already, as {holder}")
        nodes = (FoundNodes if around.found else Nodes)(around.machine.store, place, around.tidying)
        try:
            await nodes.watch(changed)
        except BaseException:
            around.places.pop(place)
            await nodes.unwatch()
            raise
        self.nodes, self._identity = nodes, _identity_of(guest)
        return None

    async def give_up(self) -> None:
        """Have none from now on: nothing is left of them."""
        nodes, self.nodes, self._identity = self.nodes, None, None
        self._around.logged.pop(self._address, None)
        if nodes is not None:
            self._around.places.pop(nodes.place)
            await nodes.unwatch()


def _identity_of(guest: Guest) -> tuple[int, str]:
    return guest.domid, guest.uuid
