import pytest
from tgtcore_filters.commands import transferred

from tgtcore.testing.initiator import Initiator

READ, WRITE, INQUIRY = "28 00 00000010 00 0008", "2a 00 00000010 00 0008", "12 00 00 00 ff 00"


@pytest.mark.parametrize(
    ("cdb", "out", "room", "expected"),
    [
        (READ, b"", 4096, 4096),
        (READ, b"", 1000, 1000),
        (READ, b"", 1 << 31, 4096),
        (WRITE, bytes(4096), 0, 4096),
        (WRITE, bytes(8192), 0, 4096),
        (INQUIRY, b"", 255, 255),
        (INQUIRY, b"", 1 << 31, 65536),
        ("00", b"", 0, 0),
    ],
)
def test_what_a_command_is_expected_to_move(
    initiator: Initiator, cdb: str, out: bytes, room: int, expected: int
) -> None:
    task = initiator.start(cdb, out, room)
    initiator.finish(task)
    assert transferred.expected(task) == expected


def test_what_a_command_has_moved(initiator: Initiator) -> None:
    read, write = initiator.start(READ, data_in=1000), initiator.start(WRITE, bytes(8192))
    for task in (read, write):
        initiator.finish(task)
    assert (transferred.into(read), transferred.out(read)) == (1000, 0)
    assert (transferred.into(write), transferred.out(write)) == (0, 4096)
