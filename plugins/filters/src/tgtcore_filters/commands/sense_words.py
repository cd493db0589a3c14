"""Sense keys and additional sense codes as users write them."""

import re

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore_filters.commands.similar import nearest

_PAIR = re.compile(r"([0-9a-f]{1,2})h?/([0-9a-f]{1,2})h?", re.IGNORECASE)
_DONE = frozenset({SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR, SenseKey.COMPLETED})
_UNUSED = frozenset({SenseKey.RESERVED})


def parse_code(text: str) -> tuple[SenseKey, tuple[int, int]]:
    """A sense key, and an additional sense code with its qualifier.

    :param text: ``MEDIUM ERROR/unrecovered read error`` or ``3/11/00``; of words, case and what is between them do not matter.
    :raises ValueError: it means nothing, or it would say that the command was done.
    """
    key_text, slash, code_text = text.partition("/")
    if not slash:
        raise ValueError(
            f'"{text:.80}" is no sense; expected a sense key and an additional sense code, as in "3/11/00"'
        )
    key = _key(key_text)
    if key in _DONE:
        raise ValueError(f"sense key {key.name.replace('_', ' ')} would tell initiators that the command was done")
    return key, _code(code_text)


def _key(text: str) -> SenseKey:
    number = re.fullmatch(r"([0-9a-f])h?", text.strip(), re.IGNORECASE)
    name = _folded(text)
    key = SenseKey(int(number[1], 16)) if number else _KEYS.get(name)
    if key is None or key in _UNUSED:
        raise ValueError(f'"{text:.60}" is no sense key{nearest(name, _KEYS)}')
    return key


def _code(text: str) -> tuple[int, int]:
    pair = _PAIR.fullmatch(text.strip())
    if pair is not None:
        return int(pair[1], 16), int(pair[2], 16)
    name = _folded(text)
    code = _CODES.get(name)
    if code is None:
        raise ValueError(
            f'"{text:.80}" is no additional sense code{nearest(name, _CODES)}, or two numbers as in "11/00"'
        )
    return code


def _folded(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


_KEYS = {_folded(key.name.replace("_", " ")): key for key in SenseKey if key not in _UNUSED}
_CODES = {_folded(words): code for code, words in asc.TEXT.items()}
