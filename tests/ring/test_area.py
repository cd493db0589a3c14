"""The allocator: pieces never overlap, and all comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.ring import Area

PAGE = 4096
SIZES = st.integers(1, 40).map(lambda pages: pages * PAGE)
LENGTHS = st.integers(0, 10 * PAGE)


def rounded(length: int) -> int:
    size = PAGE
    while size < length:
        size *= 2
    return size


@given(
    size=SIZES,
    start=st.integers(0, 3).map(lambda pages: pages * PAGE),
    deeds=st.lists(st.tuples(st.booleans(), LENGTHS)),
)
def test_pieces_lie_within_it_and_never_overlap(size: int, start: int, deeds: list[tuple[bool, int]]) -> None:
    area = Area(size, start)
    taken: list[tuple[int, int]] = []
    for take, length in deeds:
        if take and rounded(length) <= area.largest_bytes:
            free = area.free_bytes
            piece = area.take(length)
            if piece is None:
                continue
            offset, got = piece
            assert got == rounded(length)
            assert (offset - start) % got == 0
            assert start <= offset
            assert offset + got <= start + size
            assert all(offset + got <= other or other + its <= offset for other, its in taken)
            assert area.free_bytes == free - got
            taken.append(piece)
        elif taken:
            area.give(*taken.pop(length % len(taken)))
    assert area.free_bytes == size - sum(got for _, got in taken)
    for piece in taken:
        area.give(*piece)
    assert area.free_bytes == size
    whole = area.take(area.largest_bytes)
    assert whole is not None, "what was split is put together again"


@given(size=SIZES, length=LENGTHS)
def test_there_is_one_as_long_as_there_is_room(size: int, length: int) -> None:
    area = Area(size)
    while area.free_bytes >= PAGE:
        assert area.take(0) is not None
    assert area.take(length if rounded(length) <= area.largest_bytes else 0) is None


def test_what_is_no_whole_page_is_not_used() -> None:
    area = Area(3 * PAGE + 5)
    assert (area.free_bytes, area.largest_bytes) == (3 * PAGE, 2 * PAGE)


def test_what_can_never_fit_is_told_from_what_does_not_fit_now() -> None:
    area = Area(4 * PAGE)
    assert area.take(4 * PAGE) == (0, 4 * PAGE)
    assert area.take(1) is None
    with pytest.raises(ValueError, match=f"{4 * PAGE + 1} bytes do not fit into a data area of {4 * PAGE} bytes"):
        area.take(4 * PAGE + 1)


def test_neighbours_of_others_are_not_put_together() -> None:
    area = Area(4 * PAGE)
    pieces = [area.take(PAGE) for _ in range(4)]
    assert None not in pieces
    for piece in sorted(piece for piece in pieces if piece)[1:3]:
        area.give(*piece)
    assert area.take(2 * PAGE) is None, "pages 1 and 2 are no buddies"
