"""A SCSI command that came in an SRP_CMD."""

from typing import TYPE_CHECKING

from tgtcore import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tgtcore_srp.channel import Channel
    from tgtcore_srp.commands import Commands
    from tgtcore_srp.fabric import Segment
    from tgtcore_srp.slots import Slot


class SrpTask(Task):
    """A command from its acceptance until its answer was handed to the fabric, or it has ended without one."""

    commands: "Commands"
    slot: "Slot"
    out_segments: "Sequence[Segment]" = ()
    """Where the initiator has its data-out."""
    in_segments: "Sequence[Segment]" = ()
    """Where it wants its data-in."""
    solicited = 0
    """Which answers are to be solicited notifications."""
    held_bytes = 0
    """What it has taken of the transport's memory."""
    moving = False
    """Whether RDMA for it goes on: its slot and buffers are in use, even when it has ended."""
    refusal: tuple[int, bytes] | None = None
    """Status and sense data that the initiator is told, because its data could not be moved."""

    @property
    def channel(self) -> "Channel":
        """Which it came through."""
        return self.commands.channel

    def done(self) -> None:
        """Move data-in and send the answer."""
        self.commands.ended(self)

    def want_data(self) -> None:
        """Move data-out."""
        self.commands.transfers.fetch(self)

    def fetched(self, ok: bool) -> None:
        """RDMA of data-out, which had to go on, is over."""
        self.commands.transfers.fetched(self, ok)

    def delivered(self, ok: bool) -> None:
        """RDMA of data-in, which had to go on, is over."""
        self.commands.transfers.delivered(self, ok)
