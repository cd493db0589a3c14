"""What kinds of clients there are, and how each wants to be served."""

from dataclasses import dataclass
from enum import Enum

from tgtcore_ibmvio.mad import OsType


class ReportLunsForm(Enum):
    """How REPORT LUNS names logical units; values are those of the configuration."""

    PERIPHERAL = "peripheral"
    """Those of the virtual target that was asked, by their LUN there."""
    LOGICAL_UNIT = "logical_unit"
    """All, by bus, target and LUN."""


class InquiryForm(Enum):
    """What INQUIRY calls logical units; values are those of the configuration."""

    OWN = "own"
    """By their own vendor and product identification."""
    AIX = "aix"
    """By the names that AIX knows virtual devices by."""


@dataclass(frozen=True)
class ClientKind:
    """How one kind of client wants to be served.

    :param os_type: what the server says that it is: some clients do more with one of their own kind.
    :param underrun_as_over: whether short transfers have to look like overruns, which are all that the client looks at.
    :param answers_pings: whether it knows pings; one that does not complains of each in its log.
    """

    os_type: OsType
    report_luns: ReportLunsForm
    inquiry: InquiryForm
    underrun_as_over: bool
    answers_pings: bool


CLIENTS = {
    "linux": ClientKind(
        OsType.LINUX, ReportLunsForm.PERIPHERAL, InquiryForm.OWN, underrun_as_over=False, answers_pings=False
    ),
    "aix": ClientKind(
        OsType.AIX, ReportLunsForm.LOGICAL_UNIT, InquiryForm.AIX, underrun_as_over=False, answers_pings=True
    ),
}
"""By the name that the configuration has for them."""
