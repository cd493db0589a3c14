"""INQUIRY by the names that clients know."""

import pytest
from tgtcore_ibmvio import tgt_amend_commands
from tgtcore_ibmvio.naming import named_for_aix
from tgtcore_ibmvio.options import IbmvioTargetOptions

from tgtcore import BoundCommand, Command, CommandTable, ReservationClass

INQUIRY_DATA = bytes((0, 0, 6, 0x12, 91)) + bytes(3) + b"TGTCORE VIRTUAL-DISK    0001" + bytes(60)


def inquiry(device, task):
    task.data_in = (b"\0\x83\0\0" if task.cdb[1] else INQUIRY_DATA)[: int.from_bytes(task.cdb[3:5], "big")]


class Nexus:
    def __init__(self, options):
        self.target = self
        self.options = options


class Task:
    def __init__(self, cdb, nexus):
        self.cdb = cdb.ljust(16, b"\0")
        self.nexus = nexus
        self.data_in = None


def run(cdb, *, transport="ibmvio", **options):
    usage = b"\x12" + b"\xff" * 15
    entry = Command(opcode=0x12, service_action=None, usage=usage, reservation=ReservationClass.ALWAYS)
    table = CommandTable([BoundCommand(entry, inquiry, None)])
    tgt_amend_commands(transport=transport, commands=table)
    task = Task(cdb, Nexus(IbmvioTargetOptions(adapters=("30000003",), **options)))
    table.find(task.cdb).handler(None, task)
    return task.data_in


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
