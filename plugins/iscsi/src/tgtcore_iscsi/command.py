"""A SCSI command of the full feature phase, and how its end is put on the wire."""

from typing import TYPE_CHECKING

from tgtcore import Task
from tgtcore_iscsi.pdu.codes import RESIDUAL_OVERFLOW, RESIDUAL_UNDERFLOW

if TYPE_CHECKING:
    from tgtcore_iscsi.data_out import DataOut
    from tgtcore_iscsi.full_feature import FullFeature

_RESIDUAL_MAX = 0xFFFFFFFF


class IscsiTask(Task):
    """A task that came in a SCSI Command PDU."""

    phase: "FullFeature"
    immediate_delivery = False
    """Whether it had the I bit: then it took no place in the command window."""
    kept_bytes = 0
    """Data-out that is still in the receive buffer."""
    data: "DataOut | None" = None
    """Collects data-out; None when all of it came with the command."""

    def done(self) -> None:
        """Send the response."""
        self.phase.task_ended(self)

    def want_data(self) -> None:
        """Send R2Ts, or wait for data that comes unasked."""
        self.phase.transfers.want(self)


def residual(expected: int, actual: int) -> tuple[int, int]:
    """Flags and residual count for a transfer (RFC 7143 11.4.5)."""
    if actual == expected:
        return 0, 0
    if actual < expected:
        return RESIDUAL_UNDERFLOW, expected - actual
    return RESIDUAL_OVERFLOW, min(actual - expected, _RESIDUAL_MAX)
