"""What clients are told of logical units: REPORT LUNS in the form that they accept, INQUIRY by names that they know."""

from collections.abc import Callable, Mapping
from typing import Any

from tgtcore import BoundCommand, CommandTable, Task
from tgtcore.scsi.lun import REPORT_LUNS_WELL_KNOWN, InvalidLun, decode_lun, encode_lun
from tgtcore.scsi.report_luns import SelectReport, report_luns_data
from tgtcore_ibmvio.addressing import VirtualDevice, VirtualDevices
from tgtcore_ibmvio.clients import InquiryForm, ReportLunsForm
from tgtcore_ibmvio.identity import own_options

Handler = Callable[[Any, Task], Any]

_INQUIRY, _REPORT_LUNS = 0x12, 0xA0
_EVPD = 0x01
_DEVICE_TYPE = 0x1F
_VENDOR_AT, _REVISION_AT = 8, 32

_AIX_VENDOR = "IBM"
_AIX_PRODUCTS = {0x00: "VDASD blkdev", 0x05: "VOPTA blkdev"}
"""By peripheral device type: virtual disks and optical devices."""


def amend(commands: CommandTable) -> None:
    """Put the commands of virtual SCSI in the place of those that a logical unit has by itself."""
    for opcode, made in ((_INQUIRY, _inquiry), (_REPORT_LUNS, _report_luns)):
        bound = commands.find(bytes((opcode,)).ljust(16, b"\0"))
        if bound is not None:
            commands.replace(BoundCommand(bound.command, made(bound.handler), bound.wants))


# ---- REPORT LUNS ------------------------------------------------------------------------------------------------------


def _report_luns(original: Handler) -> Handler:
    def report_luns(device: Any, task: Task) -> None:
        original(device, task)
        select = task.cdb[2]
        if select in (SelectReport.ADDRESSABLE, SelectReport.ALL):
            fields = reported(task)
            more = [REPORT_LUNS_WELL_KNOWN] if select == SelectReport.ALL else []
            task.data_in = report_luns_data([*fields, *more])[: int.from_bytes(task.cdb[6:10], "big")]

    return report_luns


def reported(task: Task) -> list[bytes]:
    """The LUN fields that REPORT LUNS names to a client."""
    options = own_options(task.nexus.target)
    devices = VirtualDevices(options.devices)
    found = [device for lun in task.nexus.luns() if (device := devices.device_of(lun)) is not None]
    return _FORMS[options.kind.report_luns](found, _asked(devices, task.lun))


def _asked(devices: VirtualDevices, field: int) -> VirtualDevice | None:
    """The virtual device that a command is for; None: a well known logical unit, or none."""
    try:
        return devices.device_of(decode_lun(field.to_bytes(8, "big")))
    except InvalidLun:
        return None


def _peripheral(found: list[VirtualDevice], asked: VirtualDevice | None) -> list[bytes]:
    if asked is None:
        return [device.field for device in found]
    return [encode_lun(device.lun) for device in found if device[:2] == asked[:2]]


def _logical_unit(found: list[VirtualDevice], asked: VirtualDevice | None) -> list[bytes]:
    return [device.field for device in found]


_FORMS: Mapping[ReportLunsForm, Callable[[list[VirtualDevice], VirtualDevice | None], list[bytes]]] = {
    ReportLunsForm.PERIPHERAL: _peripheral,
    ReportLunsForm.LOGICAL_UNIT: _logical_unit,
}


# ---- INQUIRY ----------------------------------------------------------------------------------------------------------


def _inquiry(original: Handler) -> Handler:
    def inquiry(device: Any, task: Task) -> None:
        original(device, task)
        if own_options(task.nexus.target).kind.inquiry is InquiryForm.AIX and not task.cdb[1] & _EVPD:
            assert isinstance(task.data_in, bytes)
            task.data_in = named_for_aix(task.data_in)

    return inquiry


def named_for_aix(data: bytes) -> bytes:
    """Standard INQUIRY data with the names by which AIX knows virtual devices; of another kind of device, as it was."""
    product = _AIX_PRODUCTS.get(data[0] & _DEVICE_TYPE) if data else None
    if product is None:
        return data
    names = _AIX_VENDOR.ljust(8).encode() + product.ljust(16).encode()
    return (data[:_VENDOR_AT] + names + data[_REVISION_AT:])[: len(data)]
