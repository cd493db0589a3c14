"""A session: one initiator port logged in to one target port, through one RDMA channel or several (SRP 4.1)."""

from typing import TYPE_CHECKING

from tgtcore_srp.identity import name_of

if TYPE_CHECKING:
    from tgtcore import Nexus
    from tgtcore_srp.channel import Channel
    from tgtcore_srp.task import SrpTask


class Session:
    """What the channels of one I_T nexus share.

    :param initiator_port_id: 16 bytes.
    :param target_port_id: 16 bytes.
    """

    def __init__(self, initiator_port_id: bytes, target_port_id: bytes, nexus: "Nexus") -> None:
        self.key = initiator_port_id, target_port_id
        self.nexus = nexus
        self.channels: list[Channel] = []
        """Those that are logged in."""
        self.moving: dict[int, SrpTask] = {}
        """By tag, the commands that RDMA is under way for: the initiator's memory is in use."""

    def __str__(self) -> str:
        initiator, target = self.key
        return f"session of {name_of(initiator)} with {name_of(target)}"

    @property
    def ending(self) -> bool:
        """Whether it only waits for its last command."""
        return self.nexus.leases.draining
