"""REPORT LUNS in the form that a client accepts."""

from collections.abc import Callable, Iterable, Mapping

from tgtcore import Target
from tgtcore.scsi.lun import encode_lun
from tgtcore_ibmvio.addressing import VirtualDevice, VirtualDevices
from tgtcore_ibmvio.clients import ReportLunsForm
from tgtcore_ibmvio.identity import own_options


def reported_luns(target: Target, luns: Iterable[int], asked: int) -> list[bytes]:
    """The LUN fields that REPORT LUNS names; see :meth:`tgtcore.Transport.reported_luns`."""
    options = own_options(target)
    devices = VirtualDevices(options.devices)
    found = [device for lun in luns if (device := devices.device_of(lun)) is not None]
    return _FORMS[options.kind.report_luns](found, devices.addressed(asked))


def _peripheral(found: list[VirtualDevice], asked: VirtualDevice | None) -> list[bytes]:
    """What the virtual target has that was asked; a well known logical unit is of none."""
    if asked is None:
        return _logical_unit(found, asked)
    return [encode_lun(device.lun) for device in found if device[:2] == asked[:2]]


def _logical_unit(found: list[VirtualDevice], asked: VirtualDevice | None) -> list[bytes]:
    return [device.field for device in found]


_FORMS: Mapping[ReportLunsForm, Callable[[list[VirtualDevice], VirtualDevice | None], list[bytes]]] = {
    ReportLunsForm.PERIPHERAL: _peripheral,
    ReportLunsForm.LOGICAL_UNIT: _logical_unit,
}
