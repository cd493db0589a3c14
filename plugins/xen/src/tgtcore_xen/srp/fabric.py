"""A ring as a fabric of SRP: answers go into its slots, data is copied, for all commands that want it with one call."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tgtcore_srp.fabric import Fabric, Moved, Segment

from tgtcore import Region
from tgtcore_xen.platform.contract import Copy, Piece
from tgtcore_xen.srp.layout import IU_BYTES_MAX, build_slot, pieces_of

if TYPE_CHECKING:
    from tgtcore_srp.slots import Slot

    from tgtcore import Buffer
    from tgtcore_xen.hba.copying import Copying
    from tgtcore_xen.vscsiif.ring import BackRing

_make = tuple.__new__


class RingFabric(Fabric):
    """One connection of a front end.

    :param domid: of the guest.
    :param wake: have :meth:`move` called soon, and the ring published.
    :param ended: the channel was ended by our side, or by the front end's logout.
    """

    def __init__(
        self, ring: "BackRing", copying: "Copying", domid: int, wake: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        super().__init__(IU_BYTES_MAX, IU_BYTES_MAX, may_request=False)
        self.open = True
        """Whether anything is sent or moved."""
        self._ring = ring
        self._copying = copying
        self._domid = domid
        self._wake = wake
        self._ended = ended
        self._wanted: list[tuple[Copy, Callable[[bool], None]]] = []

    def send(self, iu: bytes, slot: "Slot") -> None:
        """Put an answer into the ring."""
        self._ring.put(build_slot(iu))
        slot.sent()
        self._wake()

    def read(self, segments: Sequence[Segment], into: memoryview, then: Callable[[bool], None]) -> Moved:
        """Copy from the guest's pages, soon."""
        return self._want(segments, into, then, to_guest=False)

    def write(self, segments: Sequence[Segment], data: "Buffer | Region", then: Callable[[bool], None]) -> Moved:
        """Copy into the guest's pages, soon."""
        assert not isinstance(data, Region), "it accepts none"
        return self._want(segments, data, then, to_guest=True)

    def _want(
        self, segments: Sequence[Segment], memory: "Buffer", then: Callable[[bool], None], *, to_guest: bool
    ) -> Moved:
        pieces = pieces_of(segments, len(memory))
        if pieces is None:
            return False
        self._wanted.append((_make(Copy, (self._domid, to_guest, [Piece(*piece) for piece in pieces], memory)), then))
        self._wake()
        return None

    def move(self) -> None:
        """Move all data that there is to move, also what is wanted because of that."""
        while self._wanted:
            wanted, self._wanted = self._wanted, []
            done = self._copying.copy([copy for copy, _ in wanted])
            for (_, then), ok in zip(wanted, done, strict=True):
                if self.open:
                    then(ok)

    def close(self) -> None:
        """Send and move nothing any more."""
        self.open = False
        self._wanted.clear()

    def disconnect(self) -> None:
        """End the channel; what was put into the ring is published all the same."""
        self._ended()
