"""The sessions of SRP target ports: who may log in, which channels belong together, and how they end."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tgtcore import Nexus
    from tgtcore_srp.channel import Channel
    from tgtcore_srp.session import Session


class Rejected(Exception):
    """A login is refused.

    :param reason: of :class:`~tgtcore_srp.iu.opcodes.RejectReason`, which the initiator is told.
    """

    def __init__(self, reason: int, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Admission(Protocol):
    """Who may log in, as the transport decides it."""

    def open(self, initiator_port_id: bytes, target_port_id: bytes) -> "Nexus":
        """Open the nexus of a new session: find the target, ask :meth:`tgtcore.Host.admits`, then :meth:`tgtcore.Host.open_nexus`.

        :raises Rejected: the initiator is told why.
        :raises TgtError: from ``open_nexus``; the initiator is told that resources are insufficient.
        """


class SrpPort:
    """The target ports of a transport with their sessions; one for all of them, since identifiers tell them apart.

    :param channels_max: RDMA channels of one session.
    """

    def __init__(self, admission: Admission, channels_max: int = 1) -> None:
        self._admission = admission
        self._channels_max = channels_max
        self.channels: set[Channel] = set()
        """All that are not gone, logged in or not."""
        self.listening = True
        """Whether new sessions are taken; while not, logins are rejected, those under way included."""

    def sessions(self) -> "list[Session]":
        """The sessions that are logged in, also those that only wait for their last command."""
        raise NotImplementedError

    def drop(self, sessions: "Iterable[Session]", why: str, then: Callable[[], None]) -> None:
        """End sessions now; ``then`` when the last command of each has ended and its channels are gone, perhaps at once.

        :param why: for the log.
        """
        raise NotImplementedError

    def close(self, why: str, then: Callable[[], None]) -> None:
        """End every channel now, logged in or not; ``then`` when all are gone.  No channel can be made any more."""
        raise NotImplementedError
