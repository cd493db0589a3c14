"""One RDMA channel from the target's side: what arrives becomes commands, what ends becomes answers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tgtcore_srp.states import State

if TYPE_CHECKING:
    from tgtcore_srp.fabric import Fabric
    from tgtcore_srp.memory import Memory
    from tgtcore_srp.port import SrpPort
    from tgtcore_srp.quirks import Quirks
    from tgtcore_srp.session import Session
    from tgtcore_srp.slots import Slot

REQUEST_LIMIT_MIN = 4
"""Initiators keep two requests back for task management, and want one more."""


class Channel:
    """One RDMA channel, from before its login until its last command has ended.  An initiator that comes back gets a new one.

    Its fabric calls :meth:`slot` and :meth:`receive` for each information unit, and :meth:`lost` once, whoever has ended the
    channel.  None of them raises, whatever arrives, and all may be called from within calls of the fabric.

    :param name: for people, such as that of an adapter.
    :param request_limit: how many requests the initiator may have unanswered, at least :data:`REQUEST_LIMIT_MIN`; there is memory
        for all of them, and for a few more, before the initiator is told.
    :raises MemoryError: not even the memory for a login is there; the fabric turns its initiator away, or lets it wait.
    """

    def __init__(
        self, name: str, port: "SrpPort", fabric: "Fabric", memory: "Memory", quirks: "Quirks", request_limit: int
    ) -> None:
        self.name = name
        self.fabric = fabric
        self.quirks = quirks
        self.state = State.NEW
        self.session: Session | None = None
        """While it is logged in, and until its last command has ended."""

    def __str__(self) -> str:
        return self.name

    # ---- what the fabric calls --------------------------------------------------------------------------------------

    def slot(self) -> "Slot | None":
        """Memory for an information unit that is about to be read in.

        A fabric that could not read it after all, and one that gets None, has lost what the initiator waits for: it calls
        :meth:`disconnect`, in the first case with :meth:`discard` before.  None means that the initiator has sent more than it may,
        and then the channel disconnects already.
        """
        raise NotImplementedError

    def discard(self, slot: "Slot") -> None:
        """Nothing was read into a slot of :meth:`slot`."""
        raise NotImplementedError

    def receive(self, slot: "Slot", length: int) -> None:
        """An information unit is in the first ``length`` bytes of a slot."""
        raise NotImplementedError

    def lost(self) -> None:
        """The channel does not exist any more for the fabric; idempotent.

        No RDMA goes on, and the fabric calls neither ``then`` of what it had begun nor :meth:`Slot.sent`.  Commands are aborted in
        silence; see :meth:`when_gone`.
        """
        raise NotImplementedError

    # ---- what the transport calls -----------------------------------------------------------------------------------

    def disconnect(self, why: str) -> None:
        """End the channel from our side: the initiator is told with SRP_T_LOGOUT where that is possible; idempotent.

        Commands are aborted in silence.  It calls :meth:`Fabric.disconnect`, and it is over with :meth:`lost`.

        :param why: for the log.
        """
        raise NotImplementedError

    def when_gone(self, told: Callable[[], None]) -> None:
        """Call ``told`` when the fabric has lost the channel and its last command has ended, perhaps now."""
        raise NotImplementedError
