"""What every device type can do."""

from tgtcore.device.inquiry import InquiryCommands
from tgtcore.device.log import LogCommands
from tgtcore.device.mode import ModeCommands
from tgtcore.device.persistent_reserve import PersistentReserveCommands
from tgtcore.device.readiness import ReadinessCommands
from tgtcore.device.report_luns import ReportLunsCommands
from tgtcore.device.reserve import ReserveCommands
from tgtcore.device.supported import SupportedCommands
from tgtcore.device.target_port_groups import TargetPortGroupCommands


class SharedCommands(
    ReadinessCommands,
    InquiryCommands,
    ReportLunsCommands,
    ModeCommands,
    LogCommands,
    SupportedCommands,
    TargetPortGroupCommands,
    ReserveCommands,
    PersistentReserveCommands,
):
    """The commands of SPC-5 that all device types share; inherit from it and add the type's own."""
