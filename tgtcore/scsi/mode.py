"""Mode parameter lists: headers, block descriptors, pages (SPC-5 7.5)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tgtcore.scsi.parameters import ParameterError, need

ALL_PAGES = 0x3F
ALL_SUBPAGES = 0xFF
_SPF = 0x40
_PS = 0x80
_LONGLBA = 0x01
_SHORT_DESCRIPTOR_BYTES = 8
_LONG_DESCRIPTOR_BYTES = 16


class PageControl(IntEnum):
    """Which values MODE SENSE asks for (SPC-5 table 218)."""

    CURRENT = 0
    CHANGEABLE = 1
    DEFAULT = 2
    SAVED = 3


@dataclass(frozen=True)
class ModePage:
    """A mode page's place and three of its faces.

    :param default: bytes after the page header.
    :param changeable: the same length, a 1 for each bit that MODE SELECT may change.
    """

    code: int
    subcode: int
    default: bytes
    changeable: bytes

    def __post_init__(self) -> None:
        if len(self.default) != len(self.changeable):
            raise ValueError(
                f"mode page {self.code:02X}h: {len(self.default)} default, {len(self.changeable)} mask bytes"
            )

    @property
    def key(self) -> tuple[int, int]:
        """Page code and subpage code."""
        return self.code, self.subcode

    def adopted(self, values: bytes) -> bytes:
        """What may be changed as in these values, the rest as by default; values of another length count for nothing."""
        if len(values) != len(self.default):
            return self.default
        faces = zip(values, self.changeable, self.default, strict=True)
        return bytes(value & mask | default & ~mask for value, mask, default in faces)

    def encode(self, values: bytes) -> bytes:
        """The page with its header and these values."""
        if self.subcode:
            return bytes((_SPF | self.code, self.subcode)) + len(values).to_bytes(2, "big") + values
        return bytes((self.code, len(values))) + values


def selected(pages: Iterable[ModePage], code: int, subcode: int) -> list[ModePage]:
    """The pages that a MODE SENSE asks for, in ascending order; none if there is no such page (SPC-5 table 219).

    The caller refuses ``ALL_PAGES`` with any subpage code but 00h and FFh: those are reserved.
    """
    return [
        page
        for page in sorted(pages, key=lambda page: page.key)
        if code in (ALL_PAGES, page.code) and (subcode == ALL_SUBPAGES or page.subcode == subcode)
    ]


def block_descriptor(blocks: int, block_bytes: int, *, long: bool) -> bytes:
    """The block descriptor of a direct access device (SBC-4 6.4.2)."""
    if long:
        return blocks.to_bytes(8, "big") + bytes(4) + block_bytes.to_bytes(4, "big")
    return min(blocks, 0xFFFFFFFF).to_bytes(4, "big") + b"\0" + block_bytes.to_bytes(3, "big")


def parameter_data(
    descriptors: bytes, pages: bytes, *, ten: bool, device_specific: int, long: bool = False, medium_type: int = 0
) -> bytes:
    """MODE SENSE parameter data for the 6- or the 10-byte command."""
    if ten:
        length = 6 + len(descriptors) + len(pages)
        header = length.to_bytes(2, "big") + bytes((medium_type, device_specific, _LONGLBA if long else 0, 0))
        return header + len(descriptors).to_bytes(2, "big") + descriptors + pages
    length = min(3 + len(descriptors) + len(pages), 0xFF)
    return bytes((length, medium_type, device_specific, len(descriptors))) + descriptors + pages


class SelectedPage(NamedTuple):
    """A page that MODE SELECT brings.

    :ivar at: offset of its values in the parameter list.
    """

    code: int
    subcode: int
    values: bytes
    at: int


class ModeSelect(NamedTuple):
    """A parsed MODE SELECT parameter list."""

    descriptor: bytes
    descriptor_at: int
    long: bool
    pages: tuple[SelectedPage, ...]


def parse_parameter_list(data: bytes, *, ten: bool) -> ModeSelect:
    """Take a MODE SELECT parameter list apart.

    :raises ParameterError: a part is cut off, or a length is impossible.
    """
    header = 8 if ten else 4
    need(data, header, "mode parameter header")
    long = bool(ten and data[4] & _LONGLBA)
    length = int.from_bytes(data[6:8], "big") if ten else data[3]
    expected = _LONG_DESCRIPTOR_BYTES if long else _SHORT_DESCRIPTOR_BYTES
    if length not in (0, expected):
        raise ParameterError(f"block descriptor length {length}, expected 0 or {expected}", byte=6 if ten else 3)
    need(data, header + length, "block descriptor")
    return ModeSelect(data[header : header + length], header, long, tuple(_pages(data, header + length)))


def _pages(data: bytes, at: int) -> Iterator[SelectedPage]:
    while at < len(data):
        need(data, at + 2, "mode page header")
        if data[at] & _PS:
            raise ParameterError("the PS bit is reserved in MODE SELECT", byte=at, bit=7)
        subcode, head, length = 0, 2, data[at + 1]
        if data[at] & _SPF:
            need(data, at + 4, "mode subpage header")
            subcode, head, length = data[at + 1], 4, int.from_bytes(data[at + 2 : at + 4], "big")
            if not subcode:
                raise ParameterError("subpage 00h has no subpage header, expected SPF to be zero", byte=at, bit=6)
        need(data, at + head + length, "mode page")
        yield SelectedPage(data[at] & 0x3F, subcode, data[at + head : at + head + length], at + head)
        at += head + length


def check_changes(page: ModePage, current: bytes, change: SelectedPage) -> bytes:
    """The new values of a page.

    :raises ParameterError: a bit that may not change would, or the length differs.
    """
    if len(change.values) != len(current):
        raise ParameterError(
            f"mode page {page.code:02X}h of {len(change.values)} bytes, expected {len(current)}",
            byte=change.at - (2 if page.subcode else 1),
        )
    for number, (old, new, mask) in enumerate(zip(current, change.values, page.changeable, strict=True)):
        wrong = (old ^ new) & ~mask & 0xFF
        if wrong:
            raise ParameterError(
                f"mode page {page.code:02X}h: a bit that can't be changed differs",
                byte=change.at + number,
                bit=wrong.bit_length() - 1,
            )
    return change.values
