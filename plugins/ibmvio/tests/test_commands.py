"""REPORT LUNS and INQUIRY as clients of virtual SCSI want them."""

import pytest
from tgtcore_ibmvio import tgt_amend_commands
from tgtcore_ibmvio.commands import named_for_aix
from tgtcore_ibmvio.options import IbmvioTargetOptions

from tgtcore import BoundCommand, CheckCondition, Command, CommandTable, ReservationClass
from tgtcore.scsi.lun import encode_lun
from tgtcore.scsi.report_luns import report_luns_data

INQUIRY_DATA = bytes((0, 0, 6, 0x12, 91)) + bytes(3) + b"TGTCORE VIRTUAL-DISK    0001" + bytes(60)


def report_luns(device, task):
    if task.cdb[2] > 2:
        raise CheckCondition(5, (0x24, 0))
    task.data_in = report_luns_data([encode_lun(lun) for lun in task.nexus.luns()])


def inquiry(device, task):
    task.data_in = (b"\0\x83\0\0" if task.cdb[1] else INQUIRY_DATA)[: int.from_bytes(task.cdb[3:5], "big")]


def bound(opcode, handler):
    usage = bytes((opcode,)) + b"\xff" * 15
    return BoundCommand(
        Command(opcode=opcode, service_action=None, usage=usage, reservation=ReservationClass.ALWAYS), handler, None
    )


class Nexus:
    def __init__(self, luns, options):
        self.target = self
        self.options = options
        self._luns = luns

    def luns(self):
        return dict.fromkeys(self._luns)


class Task:
    def __init__(self, cdb, lun, nexus):
        self.cdb = cdb.ljust(16, b"\0")
        self.lun = lun
        self.nexus = nexus
        self.data_in = None


def run(cdb, *, lun=0, luns=(0, 1, 5, 256, 257, 8192), transport="ibmvio", **options):
    table = CommandTable([bound(0x12, inquiry), bound(0xA0, report_luns)])
    tgt_amend_commands(transport=transport, commands=table)
    field = int.from_bytes(encode_lun(lun), "big") if isinstance(lun, int) else int.from_bytes(lun, "big")
    task = Task(cdb, field, Nexus(luns, IbmvioTargetOptions(adapters=("30000003",), **options)))
    table.find(task.cdb).handler(None, task)
    return task.data_in


def report(select=0, length=4096, **how):
    data = run(bytes((0xA0, 0, select, 0, 0, 0)) + length.to_bytes(4, "big") + bytes(2), **how)
    assert int.from_bytes(data[:4], "big") == len(data) - 8
    return [data[at : at + 2].hex() for at in range(8, len(data), 8)]


def test_linux_is_told_what_the_virtual_target_has_that_it_asked():
    assert report(lun=0) == ["0000", "0001", "0005"]
    assert report(lun=1) == ["0000", "0001", "0005"]
    assert report(lun=256) == ["0000", "0001"]
    assert report(lun=8192) == ["0000"]


def test_aix_is_told_of_everything():
    everything = ["8000", "8001", "8005", "8100", "8101", "a000"]
    assert report(client="aix") == everything
    assert report(lun=256, client="aix") == everything


def test_the_mapping_counts():
    devices = {"0:1:0": 0, "0:1:1": 5, "0:2:0": 256}
    assert report(lun=0, devices=devices) == ["0000", "0001"]
    assert report(lun=256, devices=devices) == ["0000"]
    assert report(lun=256, devices=devices, client="aix") == ["8100", "8101", "8200"]


def test_the_well_known_logical_unit_is_in_the_list_of_all():
    assert report(2, lun=0, luns=(0,)) == ["0000", "c101"]
    assert report(1, lun=0, luns=(0,)) == ["0000"], "left as it was"


def test_a_short_list_is_cut_and_has_its_whole_length():
    data = run(bytes((0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0)))
    assert len(data) == 16
    assert data[:4] == (24).to_bytes(4, "big")


def test_what_was_refused_is_refused():
    with pytest.raises(CheckCondition):
        run(bytes((0xA0, 0, 3, 0, 0, 0, 0, 0, 16, 0, 0, 0)))


def test_inquiry_names_devices_for_aix():
    data = run(bytes((0x12, 0, 0, 0, 255, 0)), client="aix")
    assert data[8:36] == b"IBM     VDASD blkdev    0001"
    assert data[:8] + data[36:] == INQUIRY_DATA[:8] + INQUIRY_DATA[36:]
    assert run(bytes((0x12, 0, 0, 0, 20, 0)), client="aix") == data[:20]
    assert run(bytes((0x12, 0, 0, 0, 0, 0)), client="aix") == b""


def test_inquiry_of_others_and_vital_product_data_are_left_alone():
    assert run(bytes((0x12, 0, 0, 0, 255, 0))) == INQUIRY_DATA
    assert run(bytes((0x12, 1, 0x83, 0, 255, 0)), client="aix") == b"\0\x83\0\0"
    assert run(bytes((0x12, 0, 0, 0, 255, 0)), transport="iscsi", client="aix") == INQUIRY_DATA


@pytest.mark.parametrize(("device_type", "product"), [(0, "VDASD"), (5, "VOPTA"), (1, "VIRTU"), (0x1F, "VIRTU")])
def test_the_name_goes_with_the_device_type(device_type, product):
    named = named_for_aix(bytes((device_type,)) + INQUIRY_DATA[1:])
    assert named[16:21].decode() == product
