"""Payloads that are a few strings, each with its length before it."""

from collections.abc import Iterable

from tgtcore.errors import RingError


def join(words: Iterable[bytes]) -> bytes:
    """One payload of several strings of up to 65535 bytes each."""
    return b"".join(len(word).to_bytes(2, "little") + word for word in words)


def split(payload: bytes, count: int) -> list[bytes]:
    """So many strings of a payload; what follows them does not count.

    :raises RingError: it ends before.
    """
    words: list[bytes] = []
    at = 0
    for _ in range(count):
        end = at + 2 + int.from_bytes(payload[at : at + 2], "little")
        if end > len(payload) or at + 2 > len(payload):
            raise RingError(f"a payload of {len(payload)} bytes ends within its words, expected {count} of them")
        words.append(payload[at + 2 : end])
        at = end
    return words


def text(word: bytes) -> str:
    """A word as text.

    :raises RingError: it is no UTF-8.
    """
    try:
        return word.decode()
    except UnicodeDecodeError:
        raise RingError("a word in a payload is no UTF-8") from None
