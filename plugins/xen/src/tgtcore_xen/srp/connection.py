"""A connection with a front end that speaks SRP."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from tgtcore_xen.hba.connection import Connection, Limits, RingPlace
from tgtcore_xen.hba.journal import Left
from tgtcore_xen.srp.server import SrpServer

if TYPE_CHECKING:
    from tgtcore import Nexus
    from tgtcore_xen.hba.commands import Devices
    from tgtcore_xen.hba.copying import Copying
    from tgtcore_xen.hba.journal import Journal
    from tgtcore_xen.platform.contract import Platform


class SrpConnection(Connection):
    """Serves one ring with SRP information units; the parameters are those of :class:`Connection`.

    It keeps no journal: when this back end dies the session ends, and the front end logs in anew.
    """

    names_devices: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        machine: "Platform",
        place: RingPlace,
        nexus: "Nexus",
        devices: "Devices",
        limits: Limits,
        journal: "Journal | None",
        broken: Callable[[str], None],
    ) -> None:
        super().__init__(name, machine, place, nexus, devices, limits, None, broken)
        if journal is not None:
            journal.close()

    def _left(self) -> Left:
        """Nothing: a session does not outlive its back end."""
        return Left(0, [])

    def _serve(self, place: RingPlace, copying: "Copying", devices: "Devices", limits: Limits) -> SrpServer:
        return SrpServer(
            self.name,
            self._ring,
            copying,
            place.domid,
            self.nexus,
            devices,
            limits.memory,
            self.figures,
            self._wake,
            self._stop,
        )
