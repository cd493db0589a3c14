"""Commands for a LUN that has no logical unit (SPC-5 4.6, SAM-5 5.11), and the REPORT LUNS well known logical unit."""

from collections.abc import Callable

from tgtcore.device import inquiry, report_luns
from tgtcore.device.command import Command
from tgtcore.device.refusals import invalid_cdb_field
from tgtcore.errors import CheckCondition
from tgtcore.reservations import ReservationClass
from tgtcore.scsi import asc
from tgtcore.scsi.inquiry import PeripheralQualifier, StandardInquiry, no_device_inquiry
from tgtcore.scsi.lun import REPORT_LUNS_WELL_KNOWN
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.scsi.status import Status
from tgtcore.scsi.vpd import Page, supported_pages, vpd_page
from tgtcore.task import Task

_TEST_UNIT_READY, _REQUEST_SENSE, _INQUIRY, _REPORT_LUNS = 0x00, 0x03, 0x12, 0xA0
_WELL_KNOWN = int.from_bytes(REPORT_LUNS_WELL_KNOWN, "big")
_WELL_KNOWN_TYPE = 0x1E
_EVPD, _DESC = 0x01, 0x01


def answer_absent(task: Task) -> None:
    """End a task whose LUN has no logical unit."""
    well_known = task.lun == _WELL_KNOWN
    handlers = _WELL_KNOWN_HANDLERS if well_known else _HANDLERS
    handler = handlers.get(task.cdb[0])
    try:
        if handler is None:
            raise _unknown(well_known)
        reserved = _RESERVED_BITS[task.cdb[0]] & int.from_bytes(task.cdb[:16], "big")
        if reserved:
            raise invalid_cdb_field((128 - reserved.bit_length()) // 8, (reserved.bit_length() - 1) % 8)
        handler(task)
    except CheckCondition as refusal:
        task.data_in = None
        task.finish(Status.CHECK_CONDITION, Sense.of(refusal).fixed())
    else:
        task.finish(Status.GOOD, b"")


def _unknown(well_known: bool) -> CheckCondition:
    code = asc.INVALID_COMMAND_OPERATION_CODE if well_known else asc.LOGICAL_UNIT_NOT_SUPPORTED
    return CheckCondition(SenseKey.ILLEGAL_REQUEST, code)


def _inquiry_absent(task: Task) -> None:
    if task.cdb[1] & _EVPD:  # there is no page of nothing
        raise _unknown(False)
    if task.cdb[2]:
        raise invalid_cdb_field(2)
    task.data_in = no_device_inquiry()[: int.from_bytes(task.cdb[3:5], "big")]


def _inquiry_well_known(task: Task) -> None:
    cdb = task.cdb
    if cdb[2]:
        raise invalid_cdb_field(2)
    if cdb[1] & _EVPD:
        data = vpd_page(Page.SUPPORTED_PAGES, supported_pages(()), device_type=_WELL_KNOWN_TYPE)
    else:
        data = StandardInquiry(
            device_type=_WELL_KNOWN_TYPE,
            vendor="TGTCORE",
            product="REPORT LUNS",
            revision="",
            qualifier=PeripheralQualifier.CONNECTED,
        ).encode()
    task.data_in = data[: int.from_bytes(cdb[3:5], "big")]


def _sense_of(key: SenseKey, code: tuple[int, int]) -> Callable[[Task], None]:
    def request_sense(task: Task) -> None:
        task.data_in = Sense(key, code).encode(bool(task.cdb[1] & _DESC))[: task.cdb[4]]

    return request_sense


def _ready(task: Task) -> None:
    return


_HANDLERS: dict[int, Callable[[Task], None]] = {
    _REQUEST_SENSE: _sense_of(SenseKey.ILLEGAL_REQUEST, asc.LOGICAL_UNIT_NOT_SUPPORTED),
    _INQUIRY: _inquiry_absent,
    _REPORT_LUNS: report_luns.answer_report_luns,
}
_WELL_KNOWN_HANDLERS: dict[int, Callable[[Task], None]] = {
    _TEST_UNIT_READY: _ready,
    _REQUEST_SENSE: _sense_of(SenseKey.NO_SENSE, asc.NO_ADDITIONAL_SENSE_INFORMATION),
    _INQUIRY: _inquiry_well_known,
    _REPORT_LUNS: report_luns.answer_report_luns,
}
_USAGES = {
    _TEST_UNIT_READY: "00 00 00 00 00 00",
    _REQUEST_SENSE: "03 01 00 00 FF 00",
    _INQUIRY: inquiry.USAGE,
    _REPORT_LUNS: report_luns.USAGE,
}
_RESERVED_BITS = {
    opcode: Command(
        opcode=opcode, service_action=None, usage=bytes.fromhex(usage), reservation=ReservationClass.ALWAYS
    ).reserved_bits
    for opcode, usage in _USAGES.items()
}
