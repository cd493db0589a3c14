import pytest
from tgtcore_disk.thresholds import AVAILABLE, USED, any_enabled, reached, sets, threshold_page

from tgtcore import Space

MIB = 1 << 20
ON_AVAILABLE, ON_USED = 16, 24
"""Places of the descriptors in the mode page."""


def page(available: int | None = None, used: int | None = None) -> bytes:
    """The values of a page whose thresholds are enabled at so many MiB."""
    values = bytearray(threshold_page(None).default)
    for at, count in ((12, available), (20, used)):
        if count is not None:
            values[at] |= 0x80
            values[at + 4 : at + 8] = count.to_bytes(4, "big")
    return bytes(values)


def told(values: bytes, *amounts: tuple[float, float]) -> list[list[int]]:
    """What is told as used and available space change, in MiB."""
    found, before = [], frozenset[int]()
    for used, available in amounts:
        now = reached(values, Space(int(used * MIB), int(available * MIB), shared=False), before)
        found.append(sorted(now - before))
        before = now
    return found


def test_the_page() -> None:
    made = threshold_page(10 * MIB)
    assert made.encode(made.default).hex(" ", 4) == (
        "5c02001c 00000000 00000000 00000000 80010000 0000000a 01020000 00000000"
    )
    assert made.changeable.hex(" ", 4) == "00000000 00000000 00000000 80000000 ffffffff 80000000 ffffffff"


def test_without_a_default_nothing_is_enabled() -> None:
    assert not any_enabled(threshold_page(None).default)
    assert any_enabled(threshold_page(1).default)
    assert any_enabled(page(used=1))


def test_a_threshold_of_less_than_a_set_is_one_set() -> None:
    assert threshold_page(1).default[19] == 1


@pytest.mark.parametrize(("length", "expected"), [(0, 0), (MIB - 1, 0), (MIB, 1), (1 << 60, 0xFFFFFFFF)])
def test_bytes_are_counted_in_sets(length: int, expected: int) -> None:
    assert sets(length) == expected


def test_space_that_gets_scarce_is_told_once() -> None:
    assert told(page(available=10), (0, 20), (1, 10), (1, 9.6), (2, 9.4), (2, 9), (3, 1)) == [
        [], [], [], [ON_AVAILABLE], [], [],
    ]  # fmt: skip


def test_space_that_is_taken_is_told_once() -> None:
    assert told(page(used=10), (0, 9), (10, 9), (10.4, 9), (10.6, 9), (12, 9)) == [[], [], [], [ON_USED], []]


def test_a_threshold_is_told_again_when_it_was_left_meanwhile() -> None:
    assert told(page(available=10), (0, 9), (0, 10), (0, 9), (0, 10.6), (0, 9)) == [
        [ON_AVAILABLE], [], [], [], [ON_AVAILABLE],
    ]  # fmt: skip
    assert told(page(used=10), (11, 0), (10, 0), (11, 0), (9, 0), (11, 0)) == [[ON_USED], [], [], [], [ON_USED]]


def test_what_is_not_enabled_is_not_told() -> None:
    assert told(page(), (100, 0)) == [[]]


def test_both_may_be_reached_at_once() -> None:
    assert told(page(available=10, used=10), (11, 5)) == [[ON_AVAILABLE, ON_USED]]
    assert (AVAILABLE, USED) == (1, 2)
