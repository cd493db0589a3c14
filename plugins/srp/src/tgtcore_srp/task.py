"""A SCSI command that came in an SRP_CMD."""

from typing import TYPE_CHECKING

from tgtcore import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tgtcore_srp.channel import Channel
    from tgtcore_srp.fabric import Segment
    from tgtcore_srp.slots import Slot


class SrpTask(Task):
    """A command from its arrival until its answer was handed to the fabric."""

    channel: "Channel"
    slot: "Slot"
    out_segments: "Sequence[Segment]" = ()
    in_segments: "Sequence[Segment]" = ()
