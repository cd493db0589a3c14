"""The target: a name that initiators log in to, its LUN maps, its access list and its nexuses."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tgtcore import signals
from tgtcore.aborting import abort_all, told_all
from tgtcore.errors import NexusInUse
from tgtcore.leases import Leases
from tgtcore.target.access import AccessList
from tgtcore.target.luns import LunMap

if TYPE_CHECKING:
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus import Nexus, TargetPort
    from tgtcore.reservations.state import NexusIdentity
    from tgtcore.task import Task


class Target:
    """One target of one transport.

    :param name: as initiators know it; for iSCSI the iSCSI name.
    :param tid: a small number, unique in the daemon, handy on command lines.
    :param transport: the registered name of its transport.
    :param options: the transport's own options for this target.
    """

    def __init__(self, name: str, tid: int, transport: str, options: BaseModel, *, alias: str = "") -> None:
        self.name = name
        self.tid = tid
        self.transport = transport
        self.options = options
        self.alias = alias
        self.access = AccessList()
        self.luns = LunMap(str(self))
        """The LUNs of initiators that have no map of their own."""
        self.private_luns: list[LunMap] = []
        """Maps for some initiators only; the first that fits is used instead of ``luns``."""
        self.ports: Callable[[], Sequence[TargetPort]] = tuple
        """The target ports through which it can be reached now."""
        self.leases = Leases(str(self))
        self.drained = False
        """Whether it takes no nexus for the time being only, and is going to be opened again."""
        self.nexuses: list[Nexus] = []

    def __str__(self) -> str:
        return f"target {self.name}"

    def maps(self) -> Iterator[LunMap]:
        """Every LUN map, the common one first."""
        yield self.luns
        yield from self.private_luns

    def map_for(self, initiator: str) -> LunMap:
        """The LUN map that an initiator gets."""
        for private in self.private_luns:
            if private.fits(initiator):
                return private
        return self.luns

    def check_ended(self, identity: "NexusIdentity") -> None:
        """Before an I_T nexus is opened anew: what was sent on it before must not land over what is going to be acknowledged.

        :raises NexusInUse: commands of it have not ended.
        """
        if any(nexus.leases.draining and nexus.identity == identity for nexus in self.nexuses):
            raise NexusInUse(f"{self} still has commands of this initiator from before its nexus was lost")

    def nexus_opened(self, nexus: "Nexus") -> None:
        """Count a nexus in.

        :raises Draining: the target is going away.
        """
        self.leases.take(nexus)
        self.nexuses.append(nexus)
        nexus.lun_map.nexuses[nexus] = None
        signals.emit(signals.nexus_opened, nexus)

    def nexus_closed(self, nexus: "Nexus") -> None:
        """Count a nexus out; called by :meth:`Nexus.close` only."""
        self.nexuses.remove(nexus)
        del nexus.lun_map.nexuses[nexus]
        self.leases.give(nexus)
        signals.emit(signals.nexus_closed, nexus)

    def map(self, lun: int, lu: "LogicalUnit", lun_map: LunMap | None = None) -> None:
        """Map a logical unit, or nothing; nexuses that are logged in see it at once and are told.

        :raises ConfigError: see :meth:`LunMap.add`.
        """
        lun_map = self.luns if lun_map is None else lun_map
        lun_map.add(lun, lu)
        try:
            for nexus in list(lun_map.nexuses):
                nexus.mapped(lu)
        except BaseException:
            self.unmap(lun, lambda: None, lun_map)
            raise
        signals.emit(signals.lun_mapped, self, lun=lun, lu=lu)

    def unmap(self, lun: int, then: Callable[[], None], lun_map: LunMap | None = None) -> None:
        """Take a LUN away at once: its tasks are aborted, nexuses are told; ``then`` when the last task has ended.

        Idempotent: a LUN that is not mapped is away already.
        """
        lun_map = self.luns if lun_map is None else lun_map
        lu = lun_map.remove(lun)
        if lu is None:
            then()
            return

        def ended() -> None:
            signals.emit(signals.lun_unmapped, self, lun=lun, lu=lu)
            then()

        abort_all(self.withdraw(lun, lun_map), told_all, ended)

    def withdraw(self, lun: int, lun_map: LunMap) -> "list[Task]":
        """Take from the nexuses, which are told, what their LUN map no longer shows.

        :returns: the tasks that have found it and have not ended.
        """
        return [task for nexus in list(lun_map.nexuses) for task in nexus.withdraw(lun)]

    def hide(self, lun: int, lun_map: LunMap) -> "list[Task]":
        """Show a LUN to nobody any more that stays mapped; otherwise as :meth:`withdraw`; idempotent.

        :raises KeyError: it is not mapped.
        """
        return self.withdraw(lun, lun_map) if lun_map.hide(lun) else []

    def show(self, lun: int, lun_map: LunMap) -> None:
        """Show a LUN again that was hidden; nexuses are told; idempotent."""
        lu = lun_map.show(lun)
        if lu is not None:
            for nexus in list(lun_map.nexuses):
                nexus.mapped(lu)

    def statistics(self) -> dict[str, Any]:
        """Figures for ``tgtadm show``."""
        return {"tid": self.tid, "nexuses": len(self.nexuses), "luns": len(self.luns)}
