from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_cow.qcow2.refcount_codec import TYPECODES, pack, unpack

ORDERS = range(7)


def one_at_a_time(block: bytes, order: int, index: int) -> int:
    """The specification's words, without any shortcut."""
    bits = 1 << order
    if bits >= 8:
        return int.from_bytes(block[index * bits // 8 :][: bits // 8], "big")
    return block[index * bits // 8] >> index * bits % 8 & ((1 << bits) - 1)


@pytest.mark.parametrize("order", ORDERS)
@given(words=st.lists(st.binary(min_size=8, max_size=8), max_size=16))
def test_each_count_is_where_the_specification_has_it(order: int, words: list[bytes]) -> None:
    block = b"".join(words)
    counts = unpack(block, order)
    assert counts.typecode == TYPECODES[order]
    assert counts.tolist() == [one_at_a_time(block, order, index) for index in range(len(block) * 8 >> order)]
    assert pack(counts, order) == block


@pytest.mark.parametrize(
    ("order", "block", "counts"),
    [
        (0, b"\x1d", [1, 0, 1, 1, 1, 0, 0, 0]),
        (1, b"\x51\x03", [1, 0, 1, 1, 3, 0, 0, 0]),
        (2, b"\x01\xf1", [1, 0, 1, 15]),
        (3, b"\x01\xff", [1, 255]),
        (4, b"\x00\x01\x01\x00", [1, 256]),
        (5, b"\x00\x00\x01\x00", [256]),
        (6, b"\x00\x00\x00\x01\x00\x00\x00\x00", [1 << 32]),
    ],
)
def test_small_counts_share_a_byte_from_its_lowest_bits_and_large_ones_are_big_endian(
    order: int, block: bytes, counts: list[int]
) -> None:
    assert unpack(block, order).tolist() == counts
    assert pack(array("Q", counts), order) == block


@pytest.mark.parametrize("order", ORDERS)
def test_the_highest_count_fits_and_no_higher_one(order: int) -> None:
    highest = (1 << (1 << order)) - 1
    counts = array("Q", [highest] * 8)
    assert pack(counts, order) == b"\xff" * (1 << order)
    if order < 6:
        counts[3] = highest + 1
        with pytest.raises(OverflowError):
            pack(counts, order)


def test_counts_that_end_within_a_byte_are_refused() -> None:
    with pytest.raises(ValueError, match="7 counts of 1 bits"):
        pack(array("B", [1] * 7), 0)


def test_blocks_may_be_any_buffer() -> None:
    assert unpack(memoryview(b"\0\1\0\2"), 4).tolist() == [1, 2]
    assert unpack(bytearray(b"\x21"), 2).tolist() == [1, 2]
