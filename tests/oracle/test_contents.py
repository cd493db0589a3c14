from oracle.commands import BLOCK_BYTES
from oracle.contents import Contents, block


def test_only_the_newest_acknowledged_write_is_right() -> None:
    contents = Contents(100, 8)
    assert contents.check(0, bytes(8 * BLOCK_BYTES)) is None
    old, new = contents.data(2, 3, 1), contents.data(2, 3, 2)
    contents.written(2, 3, 1)
    assert contents.check(2, old) is None
    contents.written(2, 3, 2)
    assert contents.check(2, new) is None
    assert "block 102" in (contents.check(2, old) or "")
    assert "block 104" in (contents.check(2, new[:-BLOCK_BYTES] + bytes(BLOCK_BYTES)) or "")


def test_content_of_another_place_is_wrong() -> None:
    contents = Contents(100, 8)
    contents.written(0, 2, 1)
    assert "generation 1 of block 101, whole: True" in (contents.check(0, block(101, 1) * 2) or "")


def test_half_a_block_is_wrong() -> None:
    contents = Contents(0, 1)
    contents.written(0, 1, 1)
    contents.perhaps_written(0, 1, 2)
    assert contents.check(0, block(0, 1)[:256] + block(0, 2)[256:]) is not None


def test_an_unanswered_write_may_be_there_in_each_block_and_then_stays() -> None:
    contents = Contents(0, 2)
    contents.written(0, 2, 1)
    contents.perhaps_written(0, 2, 2)
    contents.perhaps_written(1, 1, 3)
    assert contents.check(0, block(0, 2) + block(1, 3)) is None
    assert contents.check(0, block(0, 2) + block(1, 3)) is None
    assert contents.check(0, block(0, 1)) is not None
    assert contents.check(1, block(1, 2)) is not None


def test_an_acknowledged_write_ends_all_doubt() -> None:
    contents = Contents(0, 1)
    contents.perhaps_written(0, 1, 1)
    contents.written(0, 1, 2)
    assert contents.check(0, block(0, 1)) is not None
    assert contents.check(0, block(0, 2)) is None
