"""Key=value text: apart, together, over several PDUs; and hostile text."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.text import TextAssembler, TextOutbox, encode_pairs, parse_pairs

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9.\-+@_#]{0,62}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=100)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=20)


@given(pairs=PAIRS)
def test_pairs_round_trip(pairs: list[tuple[str, str]]) -> None:
    assert parse_pairs(encode_pairs(pairs)) == pairs


@given(pairs=PAIRS, size=st.integers(1, 600))
def test_cut_anywhere_they_arrive_whole(pairs: list[tuple[str, str]], size: int) -> None:
    outbox = TextOutbox(encode_pairs([pair]) for pair in pairs)
    assembler = TextAssembler()
    more = True
    while more:
        piece, more = outbox.next_piece(size)
        assert len(piece) == size if more else len(piece) <= size
        arrived = assembler.add(piece, more=more)
        assert more == (arrived is None)
    assert arrived == pairs
    assert outbox.next_piece(size) == (b"", False)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (b"", []),
        (b"\0" * 8192, []),
        (b"A=1", [("A", "1")]),
        (b"A=1\0\0\0B=2\0", [("A", "1"), ("B", "2")]),
        (b"A=\0", [("A", "")]),
        (b"A=b=c\0", [("A", "b=c")]),
        (b"iSCSIProtocolLevel=1\0", [("iSCSIProtocolLevel", "1")]),
        (b"X#NodeArchitecture=a\0", [("X#NodeArchitecture", "a")]),
        ("TargetAlias=größe\0".encode(), [("TargetAlias", "größe")]),
        (b"A=%n%n%s\0", [("A", "%n%n%s")]),
        (b"A" * 63 + b"=1\0", [("A" * 63, "1")]),
    ],
)
def test_accepted_text(text: bytes, pairs: list[tuple[str, str]]) -> None:
    assert parse_pairs(text) == pairs


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"InitiatorName\0", "has no '='"),
        (b"A" * 65536, r"\(65536 bytes\) has no '='"),
        (b"=value\0", "key name '' is malformed"),
        (b"A" * 64 + b"=1\0", "malformed"),
        (b"%n%n%s=1\0", "malformed"),
        (b"A B=1\0", "malformed"),
        (b"A\n=1\0", "malformed"),
        (b"1A=1\0", "malformed"),
        (b"\xff\xfe=1\0", "malformed"),
        ("Ü=1\0".encode(), "malformed"),
        (b"TargetAlias=\xff\xfe\0", "not UTF-8"),
        (b"A=1\0" * 257, "more than 256 keys"),
    ],
)
def test_refused_text(text: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says) as caught:
        parse_pairs(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_text_over_many_pdus_is_bounded() -> None:
    assembler = TextAssembler()
    for _ in range(8):
        assert assembler.add(b"A" * 8192, more=True) is None
    with pytest.raises(RemoteProtocolError, match="more than 65536 bytes"):
        assembler.add(b"A", more=True)


def test_continuation_without_data_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="without data"):
        TextAssembler().add(b"", more=True)


def test_cleared_text_is_forgotten() -> None:
    assembler = TextAssembler()
    assembler.add(b"A=", more=True)
    assembler.clear()
    assert assembler.add(b"B=2\0", more=False) == [("B", "2")]


def test_outbox_holds_no_more_than_a_piece_and_an_item() -> None:
    made = 0

    def items() -> Iterator[bytes]:
        nonlocal made
        for _ in range(1000):
            made += 1
            yield b"x" * 100

    outbox = TextOutbox(items())
    assert outbox.next_piece(512) == (b"x" * 512, True)
    assert made == 6


@pytest.mark.fuzz
@given(text=st.binary(max_size=2000))
def test_random_text_raises_only_protocol_errors(text: bytes) -> None:
    try:
        pairs = parse_pairs(text)
    except RemoteProtocolError:
        return
    assert all(0 < len(name) <= 63 for name, _ in pairs)
