"""Which descriptor an initiator makes of its memory."""

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.initiator.buffers import describe
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.opcodes import BufferFormat

PIECES = tuple(Segment(0x1000 * at, at, 512) for at in range(300))


def test_one_piece() -> None:
    assert describe(PIECES[:1]) == BufferDescriptor.direct(PIECES[0])


@pytest.mark.parametrize(("room", "listed"), [(20, 0), (35, 0), (36, 1), (208, 11), (10_000, 255)])
def test_as_many_listed_as_fit(room: int, listed: int) -> None:
    table = Segment(0x9000, 1, 16 * len(PIECES))
    found = describe(PIECES, table, room)
    assert found == (BufferFormat.INDIRECT, 300 * 512, PIECES[:listed], table, 0)
    assert len(found.build()) <= room or listed == 255


def test_all_listed() -> None:
    found = describe(PIECES[:3], Segment(0x9000, 1, 48), 208)
    assert found.complete
    assert found.segments == PIECES[:3]


@pytest.mark.parametrize(("table", "room"), [(None, 100), (Segment(0, 0, 32), 19), (Segment(0, 0, 48), 100)])
def test_several_need_a_table(table: Segment | None, room: int) -> None:
    with pytest.raises(ValueError, match="2 segments need a table of 32 bytes and room for 20"):
        describe(PIECES[:2], table, room)
