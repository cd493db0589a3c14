from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tgtcore_filters.storage.pending import PIECE_COST_BYTES, Pending, Piece, joined, patched

SIZE = 64

_ranges = st.tuples(st.integers(0, SIZE - 1), st.integers(1, 16)).map(lambda r: (r[0], min(r[1], SIZE - r[0])))
_steps = st.lists(st.tuples(st.sampled_from(["put", "zero", "cut", "drop"]), _ranges, st.integers(0, 3)), max_size=40)


@given(_steps, _ranges)
def test_it_is_a_map_of_bytes(steps: list[tuple[str, tuple[int, int], int]], asked: tuple[int, int]) -> None:
    """Beside a model that knows for each byte which value it has, and from whom."""
    pending = Pending()
    model: dict[int, tuple[int, int]] = {}
    for number, (what, (offset, length), origin) in enumerate(steps):
        value = number + 1
        there = range(offset, offset + length)
        if what in ("put", "zero"):
            data = bytes([value]) * length if what == "put" else None
            pending.put(Piece(offset, length, data, origin))
            model.update(dict.fromkeys(there, (value if what == "put" else 0, origin)))
        elif what == "cut":
            pending.cut(offset, length)
            model = {at: known for at, known in model.items() if at not in there}
        else:
            pending.drop(offset, length, origin)
            model = {at: known for at, known in model.items() if at not in there or known[1] != origin}
    pieces = list(pending)
    assert all(one.end <= other.offset for one, other in pairwise(pieces))
    assert {at: (joined([piece])[at - piece.offset], piece.origin) for piece in pieces for at in _bytes(piece)} == model
    assert pending.bytes == len(model)
    offset, length = asked
    expected = bytes(model.get(at, (255, 0))[0] for at in range(offset, offset + length))
    assert patched(b"\xff" * length, offset, pending.over(offset, length)) == expected


def _bytes(piece: Piece) -> range:
    return range(piece.offset, piece.end)


def test_what_is_left_of_bytes_is_a_copy_and_of_a_view_a_view() -> None:
    pending = Pending()
    whole = bytes(1000)
    pending.put(Piece(0, 1000, whole, 1))
    pending.put(Piece(2000, 1000, memoryview(whole), 2))
    pending.cut(10, 980)
    pending.cut(2010, 980)
    kinds = [type(piece.data) for piece in pending]
    assert kinds == [bytes, bytes, memoryview, memoryview]
    assert pending.cost_bytes == 40 + 4 * PIECE_COST_BYTES
