"""Ranges of a medium as users write them: ``"1M+64K"`` is 64 KiB from 1 MiB on, ``"4G+"`` everything from there on."""

from collections.abc import Iterable, Iterator

from pydantic import TypeAdapter

from tgtcore import Size

Span = tuple[int, int]
"""First byte and the one behind the last."""

_END = 1 << 63
_size = TypeAdapter(Size)


class ByteRanges:
    """Some ranges of bytes, or everything.

    :param words: none of them: everything.
    :raises ValueError: one is no range.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._spans = sorted(map(_parsed, words)) or [(0, _END)]

    def touch(self, offset: int, length: int) -> bool:
        """Whether any byte of a range is one of these."""
        return any(first < offset + length and offset < end for first, end in self._spans)

    def within(self, offset: int, length: int) -> Iterator[Span]:
        """What these ranges and another one have in common; each byte once, in order."""
        end = offset + length
        for first, beyond in self._spans:
            first, beyond = max(first, offset), min(beyond, end)
            if first < beyond:
                yield first, beyond
                offset = beyond


def _parsed(word: str) -> Span:
    offset, plus, length = (part.strip() for part in word.partition("+"))
    if not plus:
        raise ValueError(
            f'"{word:.60}" is no range of bytes; expected where it begins and how long it is, as in "1M+64K"'
        )
    first = 0 if offset == "0" else _size.validate_python(offset)
    return first, first + _size.validate_python(length) if length else _END
