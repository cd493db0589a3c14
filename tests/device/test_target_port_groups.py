from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.testing.initiator import Bench, Initiator

GROUP_1 = bytes.fromhex("00 01 0001 00 00 00 01 0000 0001")
GROUP_2 = bytes.fromhex("00 01 0002 00 00 00 01 0000 0002")


def test_every_port_in_its_group(made: Bench, initiator: Initiator) -> None:
    made.target.ports = lambda: made.ports
    assert initiator.execute("a3 0a 00 00 00 00 000000ff").data == (24).to_bytes(4, "big") + GROUP_1 + GROUP_2


def test_the_port_of_the_nexus_is_there_in_any_case(other: Initiator) -> None:
    assert other.execute("a3 0a 00 00 00 00 000000ff").data == (12).to_bytes(4, "big") + GROUP_2


def test_the_extended_header(initiator: Initiator) -> None:
    data = initiator.execute("a3 2a 00 00 00 00 000000ff").data
    assert data == (16).to_bytes(4, "big") + bytes.fromhex("10 00 00 00") + GROUP_1


def test_another_format_is_refused(initiator: Initiator) -> None:
    assert initiator.execute("a3 4a 00 00 00 00 000000ff").code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
