import pytest

from tgtcore.device import SharedCommands
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.testing.initiator import Bench, Initiator

WELL_KNOWN = bytes.fromhex("c101000000000000")
LUN_0, LUN_300 = bytes(8), bytes.fromhex("412c000000000000")


class Plain(SharedCommands):
    code = 0x03
    needs_store = False


def report(initiator: Initiator, select: int, *, lun: int | bytes = 0, length: int = 0xFFFF) -> bytes:
    cdb = bytes((0xA0, 0, select, 0, 0, 0)) + length.to_bytes(4, "big") + bytes(2)
    return initiator.execute(cdb, data_in=1 << 20, lun=lun).data


@pytest.mark.parametrize(
    ("select", "fields"),
    [
        (0x00, [LUN_0, LUN_300]),
        (0x01, [WELL_KNOWN]),
        (0x02, [LUN_0, LUN_300, WELL_KNOWN]),
        (0x10, []),
        (0x11, [LUN_0, LUN_300]),
    ],
)
@pytest.mark.parametrize("lun", [0, 7, WELL_KNOWN])
def test_select_report(made: Bench, initiator: Initiator, select: int, fields: list[bytes], lun: int | bytes) -> None:
    made.add(Plain, lun=300)
    body = b"".join(fields)
    initiator.execute("00")  # takes the attention that the new logical unit is
    assert report(initiator, select, lun=lun) == len(body).to_bytes(4, "big") + bytes(4) + body


@pytest.mark.parametrize("select", [0x03, 0x0F, 0x12, 0xFF])
def test_other_values_are_refused(initiator: Initiator, select: int) -> None:
    cdb = bytes((0xA0, 0, select, 0, 0, 0, 0, 0, 0, 16, 0, 0))
    assert initiator.execute(cdb).code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)


def test_the_answer_makes_the_change_known(made: Bench, initiator: Initiator) -> None:
    made.add(Plain)
    itl = initiator.nexus.itl(0)
    assert itl is not None
    assert list(itl.attentions) == [asc.REPORTED_LUNS_DATA_HAS_CHANGED]
    report(initiator, 0)
    assert not itl.attentions


def test_sixteen_thousand_logical_units(made: Bench) -> None:
    lu = made.lus[0]
    luns = made.target.luns
    luns.remove(0)
    luns.add(16383, lu)
    initiator = made.initiator()
    assert report(initiator, 0)[8:] == bytes.fromhex("7fff000000000000")
