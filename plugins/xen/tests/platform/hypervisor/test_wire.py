"""The xenstore's messages."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_xen.platform.hypervisor.wire import (
    PAYLOAD_BYTES,
    BrokenMessage,
    Decoder,
    Message,
    Type,
    encode,
    path_of,
    refusal,
    split,
    strings,
)

WORDS = st.integers(0, 2**32 - 1)
MESSAGES = st.builds(Message, WORDS, WORDS, WORDS, st.binary(max_size=PAYLOAD_BYTES))
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def test_a_message_as_the_server_gets_it() -> None:
    """READ of a path (captured from xenstore-read)."""
    message = Message(Type.READ, 7, 0, strings("/local/domain/0/name"))
    assert encode(message) == struct.pack("<IIII", 2, 7, 0, 21) + b"/local/domain/0/name\0"


def test_numbers_of_types_are_those_of_xen() -> None:
    """``enum xsd_sockmsg_type``."""
    assert {kind.name: kind.value for kind in Type} == {
        "DIRECTORY": 1, "READ": 2, "WATCH": 4, "UNWATCH": 5, "TRANSACTION_START": 6, "TRANSACTION_END": 7, "WRITE": 11,
        "MKDIR": 12, "RM": 13, "SET_PERMS": 14, "WATCH_EVENT": 15, "ERROR": 16, "IS_DOMAIN_INTRODUCED": 17,
        "DIRECTORY_PART": 22,
    }  # fmt: skip


@given(st.lists(MESSAGES, max_size=6), st.data())
def test_messages_come_whole_however_they_are_cut(messages: list[Message], data: st.DataObject) -> None:
    stream = b"".join(map(encode, messages))
    decoder, found = Decoder(), []
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:count])
        stream = stream[count:]
    assert found == messages


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waits_for_more(garbage: bytes) -> None:
    try:
        for message in Decoder().feed(garbage):
            assert len(message.payload) <= PAYLOAD_BYTES
    except BrokenMessage as error:
        assert error.errno == errno.EPROTO


def test_a_message_that_is_too_long() -> None:
    with pytest.raises(BrokenMessage, match="4097 bytes"):
        Decoder().feed(struct.pack("<IIII", 2, 1, 0, PAYLOAD_BYTES + 1))
    with pytest.raises(OSError, match="4096") as info:
        encode(Message(Type.WRITE, 1, 0, bytes(PAYLOAD_BYTES + 1)))
    assert info.value.errno == errno.E2BIG


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_strings_are_split_as_they_were_put_together(words: list[str]) -> None:
    assert split(strings(*words)) == words


def test_strings_that_are_none() -> None:
    assert split(b"") == []
    assert split(b"a\xff\0b") == ["a\ufffd", "b"]
    with pytest.raises(OSError, match="zero byte") as info:
        strings("/a\0b")
    assert info.value.errno == errno.EINVAL


@pytest.mark.parametrize("path", ["", "domid", "a/b", " /a"])
def test_a_path_that_the_server_would_take_for_ours(path: str) -> None:
    with pytest.raises(OSError, match="no absolute path") as info:
        path_of(path)
    assert info.value.errno == errno.EINVAL
    assert path_of("@releaseDomain") == b"@releaseDomain\0"


@pytest.mark.parametrize(
    ("payload", "number"),
    [(b"ENOENT\0", errno.ENOENT), (b"EAGAIN\0", errno.EAGAIN), (b"ENOTBLK\0", errno.EIO), (b"\xff" * 90, errno.EIO)],
)
def test_refusals(payload: bytes, number: int) -> None:
    error = refusal(payload, "/a/path")
    assert error.errno == number
    assert error.filename == "/a/path"
    assert len(str(error)) < 200
