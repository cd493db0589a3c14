from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.places import (
    check_place,
    encoded_words,
    is_hole,
    lengthen,
    read_padded,
    read_words,
    sectors_of,
    write_part,
)

from tgtcore import Buffer, Extent, Store
from tgtcore.testing.ram import RamStore


class _Blocks(RamStore):
    """A file that only takes whole blocks."""

    block_bytes = 512

    def read(self, offset: int, length: int) -> Buffer:
        assert (offset | length) % 512 == 0
        return super().read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        assert (offset | len(data)) % 512 == 0
        super().write(offset, data)


class _Fixed(Store):
    size_bytes = 1 << 20

    def read(self, offset: int, length: int) -> Buffer:
        return bytes(length)


class _Growing(_Fixed):
    size_bytes = 0

    def resize(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes


def _filled(cls: type[RamStore] = RamStore, size_bytes: int = 2048) -> tuple[RamStore, bytes]:
    file, content = cls(size_bytes), bytes(number * 7 % 251 for number in range(size_bytes))
    file.write(0, content)
    return file, content


@pytest.mark.parametrize("cls", [RamStore, _Blocks])
@given(offset=st.integers(0, 5000), length=st.integers(0, 5000))
def test_any_place_can_be_read_and_beyond_the_end_are_zeroes(cls: type[RamStore], offset: int, length: int) -> None:
    file, content = _filled(cls)
    assert bytes(read_padded(file, offset, length)) == content[offset : offset + length].ljust(length, b"\0")


@pytest.mark.parametrize("cls", [RamStore, _Blocks])
@given(offset=st.integers(0, 3000), data=st.binary(min_size=1, max_size=1200))
def test_a_part_is_written_and_what_is_around_it_stays(cls: type[RamStore], offset: int, data: bytes) -> None:
    file, content = _filled(cls)
    write_part(file, offset, data)
    expected = bytearray(content.ljust(file.size_bytes, b"\0"))
    expected[offset : offset + len(data)] = data
    assert bytes(file.read(0, file.size_bytes)) == expected


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=80))
def test_words_are_big_endian(numbers: list[int]) -> None:
    encoded = b"".join(number.to_bytes(8, "big") for number in numbers)
    words = array("Q", numbers)
    assert encoded_words(words) == encoded
    assert words == array("Q", numbers)
    file = RamStore(len(encoded) or 8)
    file.write(0, encoded)
    assert read_words(file, 0, len(numbers)) == words


def test_words_beyond_the_end_are_zero() -> None:
    file, content = _filled(size_bytes=1024)
    assert read_words(file, 1016, 3).tolist() == [int.from_bytes(content[1016:], "big"), 0, 0]


@pytest.mark.parametrize("offset", [0, 512, 4095, 4097, 16384, 1 << 62])
def test_a_place_where_no_cluster_can_be_is_refused(offset: int) -> None:
    with pytest.raises(
        Corrupt, match=rf"^a table is at {offset:#x}; expected a multiple of 0x1000 after .* of the file at 0x4000$"
    ):
        check_place("a table", offset, 4096, RamStore(16384))


@pytest.mark.parametrize("offset", [4096, 12288])
def test_a_place_where_a_cluster_can_be_is_good(offset: int) -> None:
    assert check_place("a table", offset, 4096, RamStore(16384)) == offset


@pytest.mark.parametrize(
    ("end", "size"),
    [(1, 1 << 20), (1 << 20, 1 << 20), ((1 << 20) + 1, 2 << 20), ((1 << 30) + 1, (1 << 30) + (64 << 20))],
)
def test_a_file_grows_by_steps(end: int, size: int) -> None:
    file = _Growing()
    lengthen(file, end)
    assert file.size_bytes >= end
    assert file.size_bytes == size


def test_a_file_that_is_long_enough_stays() -> None:
    file = RamStore(1000)
    lengthen(file, 1000)
    assert file.size_bytes == 1000


def test_what_can_not_grow_is_full() -> None:
    with pytest.raises(OSError, match="the image needs 1048577 bytes, but what it is in has 1048576 and can't grow"):
        lengthen(_Fixed(), (1 << 20) + 1)
    lengthen(_Fixed(), 1 << 20)


def test_only_the_sectors_that_changed_are_told() -> None:
    words = array("Q", range(100))
    assert sectors_of(words, 4096, []) == []
    (first, last) = sectors_of(words, 4096, [99, 3, 0])
    assert first == (4096, encoded_words(words[:64]))
    assert last == (4096 + 512, encoded_words(words[64:]).ljust(512, b"\0"))


class _Holes(RamStore):
    """A file whose first half has no space allocated, in two extents."""

    def extents(self, offset: int, length: int) -> tuple[Extent]:
        end = self.size_bytes >> (2 if offset < self.size_bytes >> 2 else 1)
        there = offset >= self.size_bytes >> 1
        return (Extent(offset, length if there else min(length, end - offset), there),)


@pytest.mark.parametrize(
    ("offset", "length", "hole"),
    [
        (0, 4096, True),
        (0, 100, True),
        (12288, 4096, True),
        (12288, 8192, False),
        (32768, 512, False),
        (65536, 4096, True),
        (1 << 40, 4096, True),
    ],
)
def test_holes_are_known_without_reading(offset: int, length: int, hole: bool) -> None:
    assert is_hole(_Holes(65536), offset, length) is hole


def test_where_holes_are_not_told_nothing_is_one() -> None:
    assert not is_hole(_Fixed(), 0, 512)
    assert is_hole(_Fixed(), 1 << 20, 512)
