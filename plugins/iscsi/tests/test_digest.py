"""CRC32C on the wire: the vectors of RFC 7143 A.4, padding, pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.digest import data_digest, digest, digest_matches, padded, padding


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        (bytes(32), "aa36918a"),
        (b"\xff" * 32, "43aba862"),
        (bytes(range(32)), "4e79dd46"),
        (bytes(range(31, -1, -1)), "5cdb3f11"),
        (
            bytes.fromhex(
                "01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000"
            ),
            "563a96d9",
        ),
    ],
)
def test_vectors_of_the_standard(data: bytes, wire: str) -> None:
    assert digest(data).hex() == wire
    assert digest_matches(b"??" + bytes.fromhex(wire), 2, memoryview(data))
    assert not digest_matches(bytes.fromhex(wire), 0, data + b"\0\0\0\0")


@given(data=st.binary(min_size=1, max_size=200), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_pieces_and_padding_do_not_matter(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert data_digest(pieces) == digest(data + padding(len(data)))


@pytest.mark.parametrize(("length", "pad"), [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (16777215, 1)])
def test_padding(length: int, pad: int) -> None:
    assert padding(length) == bytes(pad)
    assert padded(length) == length + pad
