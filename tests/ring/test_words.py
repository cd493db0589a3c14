"""Payloads that are a few strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.errors import RingError
from tgtcore.ring import words


@given(parts=st.lists(st.binary(max_size=300), max_size=5), more=st.binary(max_size=5))
def test_what_was_joined_is_split_again_whatever_follows(parts: list[bytes], more: bytes) -> None:
    assert words.split(words.join(parts) + more, len(parts)) == parts


@given(parts=st.lists(st.binary(max_size=20), min_size=1, max_size=4), cut=st.integers(1, 100))
def test_what_ends_within_is_refused(parts: list[bytes], cut: int) -> None:
    payload = words.join(parts)
    short = payload[: max(len(payload) - cut, 0)]
    with pytest.raises(
        RingError, match=f"a payload of {len(short)} bytes ends within its words, expected {len(parts)}"
    ):
        words.split(short, len(parts))


def test_the_longest_word_is_as_long_as_its_length_can_say() -> None:
    assert words.split(words.join([b"x" * 65535]), 1) == [b"x" * 65535]
    with pytest.raises(OverflowError):
        words.join([b"x" * 65536])


def test_lengths_are_little_endian() -> None:
    assert words.join([b"ab", b""]) == b"\x02\0ab\0\0"


def test_text_is_utf_8() -> None:
    assert words.text("Größe".encode()) == "Größe"
    with pytest.raises(RingError, match=r"no UTF-8"):
        words.text(b"\xff")
