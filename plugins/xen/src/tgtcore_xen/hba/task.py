"""What is under way for a front end: commands, and answers that are ready."""

from typing import TYPE_CHECKING

from tgtcore import Task
from tgtcore.scsi.lun import encode_lun
from tgtcore.scsi.status import Status
from tgtcore_xen.vscsiif.response import build_response, good_response
from tgtcore_xen.vscsiif.results import Host, result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tgtcore_xen.hba.commands import Commands
    from tgtcore_xen.platform.contract import Shown
    from tgtcore_xen.vscsiif.segments import Segment

PERIPHERAL_END = 256
"""LUNs below are in the first two bytes of their field as they are (SAM-5 4.7.7.2)."""

ABORTED, RESET = result(Host.ABORT), result(Host.RESET)
ERROR, BUSY = result(Host.ERROR), result(Host.OK, Status.BUSY)
NO_CONNECT = result(Host.NO_CONNECT)


class Ready:
    """The answer to a request that is no command, or that was not accepted as one."""

    __slots__ = ("entry", "made")

    held_bytes = 0

    def __init__(self, entry: int, made: bytes) -> None:
        self.entry = entry
        self.made = made

    def response(self) -> bytes:
        """The bytes for the ring."""
        return self.made


class XenTask(Task):
    """A command of a front end, from its acceptance until its response is in the ring.

    Its tag is the ``rqid`` of its request.
    """

    accepts_region = True

    commands: "Commands"
    entry = 0
    """Its place in the journal."""
    segments: "Sequence[Segment]" = ()
    """Where the guest has its data."""
    held_bytes = 0
    """What it has taken of the transport's memory."""
    shown: "Shown | None" = None
    """Its data-in, which is a piece of a file that does not have to be read."""
    refusal: int | None = None
    """The result that the guest is told in the place of what the command has ended with."""
    silent_end = RESET
    """The result when it was aborted and SCSI has no response for that; the guest gets one all the same, for it counts its slots by
    that.  A guest runs a command again that a reset has ended, which it has not asked for; not so one that it has aborted."""

    def done(self) -> None:
        """Have the response put in the ring."""
        self.commands.ended(self)

    def want_data(self) -> None:
        """Have data-out copied with that of others."""
        self.commands.wants(self)

    def response(self) -> bytes:
        """The bytes for the ring."""
        refusal, status, sense = self.refusal, self.status, self.sense
        if refusal is not None or not self.responds:
            if refusal is None:
                refusal = self.silent_end
                self.commands.figures.aborted += 1
            return build_response(self.tag, refusal, self.expected_out + self.expected_in)
        expected = self.expected_in
        if expected:
            data = self.data_in
            residual = expected if data is None or sense else expected - len(data)
        else:
            residual = self.expected_out - self.wanted_out
        if status or sense or residual > 0:
            return build_response(self.tag, status, residual if residual > 0 else 0, sense)
        return good_response(self.tag)


class OwnTask(Task):
    """A command of ours, of which the front end knows nothing."""

    told: "Callable[[OwnTask], None]"

    def done(self) -> None:
        """Tell who has sent it."""
        self.told(self)


def lun_field(lun: int) -> int:
    """The 8-byte LUN field of a LUN, as a number."""
    return lun << 48 if lun < PERIPHERAL_END else int.from_bytes(encode_lun(lun), "big")
