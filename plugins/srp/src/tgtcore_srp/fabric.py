"""What a transport brings to SRP: a way for information units, and access to memory of the initiator.

One :class:`Fabric` stands for one RDMA channel (SRP, clause 4).  All calls in both directions come on the loop's thread.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tgtcore import Buffer, Region
    from tgtcore_srp.slots import Slot

Moved = bool | None
"""True: everything was moved.  False: it can't be.  None: not yet; ``then`` is going to be called."""


class Segment(NamedTuple):
    """A piece of an initiator's memory, as a memory descriptor names it.

    :param address: virtual address, 64 bits.
    :param key: memory handle, 32 bits.
    :param length: bytes.
    """

    address: int
    key: int
    length: int


class Fabric(ABC):
    """One RDMA channel as its transport serves it.

    :param iu_bytes_max: the longest information unit that can arrive; each slot has so much memory.
    :param answer_bytes_max: the longest that can be sent.
    :param may_request: whether the target may send requests of its own: SRP_CRED_REQ, SRP_AER_REQ, SRP_T_LOGOUT.
    """

    accepts_region = False
    """Whether :meth:`write` takes a :class:`~tgtcore.Region`."""

    def __init__(self, iu_bytes_max: int, answer_bytes_max: int, *, may_request: bool) -> None:
        self.iu_bytes_max = iu_bytes_max
        self.answer_bytes_max = answer_bytes_max
        self.may_request = may_request

    @abstractmethod
    def send(self, iu: bytes, slot: "Slot") -> None:
        """Send an information unit, behind all that were sent before.

        When it is on its way for good, perhaps before this returns, call ``slot.sent()``; not after the channel was told that it
        is lost.  A fabric that keeps a copy to send it from may do so first, and have the slot ready for the next request.

        :param slot: of the request that it answers; for a request of the target, one that has no request in it.
        """

    def when_delivered(self, then: Callable[[], None]) -> None:
        """Call ``then`` when the initiator has all that was sent before or can't get it any more, perhaps now.

        A fabric on which one channel of a session may overtake another one overrides this: a task management function that came
        through one of them is answered when the others' answers are there.
        """
        then()

    @abstractmethod
    def read(self, segments: Sequence[Segment], into: memoryview, then: Callable[[bool], None]) -> Moved:
        """RDMA read: fill ``into`` with the first ``len(into)`` bytes of the segments."""

    @abstractmethod
    def write(self, segments: Sequence[Segment], data: "Buffer | Region", then: Callable[[bool], None]) -> Moved:
        """RDMA write: put data, which is not longer than the segments together, into them."""

    @abstractmethod
    def disconnect(self) -> None:
        """End the channel: nothing more is sent; when nothing that was begun goes on, call ``channel.lost()``, perhaps now."""
