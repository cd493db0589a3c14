from collections.abc import Iterator

import pytest

from tgtcore.device import LogPage, SharedCommands
from tgtcore.scsi import asc
from tgtcore.scsi.log import LogParameter
from tgtcore.scsi.sense import FieldPointer, SenseKey
from tgtcore.testing.initiator import Initiator, bench

INVALID_CDB = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
TWO = bytes.fromhex("0003 03 01 aa  0007 03 02 bbbb")


class Logging(SharedCommands):
    code = 0x03
    needs_store = False

    def log_pages(self) -> dict[tuple[int, int], LogPage]:
        parameters = [LogParameter(7, b"\xbb\xbb"), LogParameter(3, b"\xaa")]
        return {(0x30, 0): lambda: parameters, (0x30, 2): lambda: parameters, (0x2F, 0): lambda: parameters}


@pytest.fixture
def initiator() -> Iterator[Initiator]:
    with bench(threads=1) as made:
        made.add(Logging)
        yield made.initiator()


@pytest.mark.parametrize(
    ("page", "answer"),
    [
        ("40 00", "00 00 0003 00 2f 30"),
        ("40 ff", "40 ff 000a 0000 00ff 2f00 3000 3002"),
        ("70 ff", "70 ff 0004 3000 3002"),
    ],
)
def test_lists_of_pages(initiator: Initiator, page: str, answer: str) -> None:
    assert initiator.execute(f"4d 00 {page} 00 00 00 00 ff").data == bytes.fromhex(answer)


def test_parameters_in_order(initiator: Initiator) -> None:
    assert initiator.execute("4d 00 70 00 00 00 00 00 ff").data == b"\x30\0\0\x0b" + TWO
    assert initiator.execute("4d 00 70 02 00 00 00 00 ff").data == b"\x70\x02\0\x0b" + TWO


def test_from_a_parameter_on(initiator: Initiator) -> None:
    assert initiator.execute("4d 00 70 00 00 00 04 00 ff").data == b"\x30\0\0\x06" + TWO[5:]


@pytest.mark.parametrize(
    ("cdb", "byte"),
    [
        ("4d 00 70 00 00 00 08 00 ff", 5),
        ("4d 00 40 00 00 00 01 00 ff", 5),
        ("4d 00 71 00 00 00 00 00 ff", 2),
        ("4d 00 71 ff 00 00 00 00 ff", 2),
        ("4d 00 40 01 00 00 00 00 ff", 3),
        ("4d 00 30 00 00 00 00 00 ff", 2),
    ],
)
def test_what_there_is_not_is_refused(initiator: Initiator, cdb: str, byte: int) -> None:
    result = initiator.execute(cdb)
    assert result.code == INVALID_CDB
    assert isinstance(result.sense.field, FieldPointer)
    assert result.sense.field.byte == byte
