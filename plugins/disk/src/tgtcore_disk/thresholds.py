"""Logical block provisioning thresholds (SBC-4 4.7.3.7): their mode page, and when they are reached."""

import struct
from functools import cache

from tgtcore import Space
from tgtcore.scsi.mode import ModePage

PAGE_KEY = (0x1C, 0x02)
"""The Logical Block Provisioning mode page (SBC-4 6.5.9)."""

THRESHOLD_SET_BITS = 20
"""Resources are counted in sets of 1 MiB."""

AVAILABLE, USED = 0x01, 0x02
"""THRESHOLD RESOURCE, and the codes of the log parameters that tell how much there is of them."""

_SET_BYTES = 1 << THRESHOLD_SET_BITS
_COUNT_MAX = 0xFFFF_FFFF
_SUBPAGE_HEADER_BYTES = 4
_DESCRIPTOR = struct.Struct(">BB2xI")
_DESCRIPTORS_AT = 12
"""Where they begin behind the header."""

_ENABLED = 0x80
_ARMED_DECREASING, _ARMED_INCREASING = 0, 1
_THRESHOLDS = ((AVAILABLE, _ARMED_DECREASING), (USED, _ARMED_INCREASING))
"""What each descriptor is about: space that gets scarce, and space that is taken."""


@cache
def threshold_page(available_bytes: int | None) -> ModePage:
    """The mode page with both descriptors; initiators may enable thresholds and set their counts.

    :param available_bytes: where the one on what is available begins; None: it is not enabled.
    """
    default, mask = bytes(_DESCRIPTORS_AT), bytes(_DESCRIPTORS_AT)
    for resource, arming in _THRESHOLDS:
        enabled = available_bytes is not None and resource == AVAILABLE
        count = sets(available_bytes or 0) if enabled else 0
        default += _DESCRIPTOR.pack(_ENABLED * enabled | arming, resource, max(count, enabled))
        mask += _DESCRIPTOR.pack(_ENABLED, 0, _COUNT_MAX)
    return ModePage(*PAGE_KEY, default, mask)


def sets(length: int) -> int:
    """A number of bytes as a number of threshold sets."""
    return min(length >> THRESHOLD_SET_BITS, _COUNT_MAX)


def any_enabled(values: bytes) -> bool:
    """Whether a page enables a threshold."""
    return any(values[at] & _ENABLED for at in range(_DESCRIPTORS_AT, len(values), _DESCRIPTOR.size))


def reached(values: bytes, space: Space, before: frozenset[int]) -> frozenset[int]:
    """The thresholds that are reached, by their places in the mode page: once reached, one has to be left before it is so again.

    :param values: of the mode page.
    :param before: those that were reached when this was asked last.
    """
    amounts = {AVAILABLE: space.available_bytes, USED: space.used_bytes}
    now = set(before)
    for at in range(_DESCRIPTORS_AT, len(values), _DESCRIPTOR.size):
        place = at + _SUBPAGE_HEADER_BYTES
        flags, resource, count = _DESCRIPTOR.unpack_from(values, at)
        beyond = amounts[resource] - count * _SET_BYTES
        if resource == AVAILABLE:
            beyond = -beyond
        if not flags & _ENABLED or beyond < -_SET_BYTES // 2:
            now.discard(place)
        elif beyond > _SET_BYTES // 2:
            now.add(place)
    return frozenset(now)
