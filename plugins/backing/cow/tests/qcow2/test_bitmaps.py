import struct
from dataclasses import replace

import pytest
from tgtcore_cow.qcow2 import bitmaps
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.header import Autoclear, ExtensionType
from tgtcore_cow.qcow2.image import Image, read_header

from tgtcore.testing.ram import RamStore

CLUSTER = 4096
NAMES = (b"first", b"a second one")
UNKNOWN = 1 << 40


def entry(name: bytes, *, flags: int = 2) -> bytes:
    return (struct.pack(">QIIBBHI", 0x7000, 1, flags, 1, 16, len(name), 0) + name).ljust(24 + len(name) + 7 & ~7, b"\0")


def image_with_bitmaps(**changes: int) -> RamStore:
    """Two bitmaps whose directory is behind everything else."""
    file = RamStore()
    header = create(file, CreateOptions(size_bytes=1 << 20, cluster_bytes=CLUSTER))
    directory = b"".join(map(entry, NAMES))
    told = {"number": len(NAMES), "length": len(directory), "offset": file.size_bytes, **changes}
    extension = struct.pack(">IIQQ", told["number"], 0, told["length"], told["offset"])
    header = replace(header, autoclear=Autoclear.BITMAPS | UNKNOWN).with_extension(ExtensionType.BITMAPS, extension)
    file.write(0, header.encode())
    file.resize(file.size_bytes + CLUSTER)
    file.write(file.size_bytes - CLUSTER, directory)
    return file


def flags(file: RamStore) -> list[int]:
    directory = bitmaps.directory_of(read_header(file))
    assert directory is not None
    return [one.flags for one in bitmaps.entries(file, directory)]


def test_the_directory_is_read() -> None:
    file = image_with_bitmaps()
    directory = bitmaps.directory_of(read_header(file))
    assert directory is not None
    found = list(bitmaps.entries(file, directory))
    assert [one.name.encode() for one in found] == list(NAMES)
    assert {(one.offset, one.entries, one.flags) for one in found} == {(0x7000, 1, 2)}


def test_a_name_that_reaches_beyond_the_directory_is_refused() -> None:
    file = image_with_bitmaps(length=sum(len(entry(name)) for name in NAMES) - 8)
    directory = bitmaps.directory_of(read_header(file))
    assert directory is not None
    with pytest.raises(Corrupt, match="a bitmap's entry ends at"):
        list(bitmaps.entries(file, directory))


def test_whoever_writes_marks_them_as_in_use_and_clears_what_he_does_not_know() -> None:
    file = image_with_bitmaps()
    Image(file, read_only=True).close()
    assert flags(file) == [2, 2]
    assert read_header(file).autoclear == Autoclear.BITMAPS | UNKNOWN
    before = file.flushes
    Image(file).close()
    assert flags(file) == [3, 3]
    assert read_header(file).autoclear == Autoclear.BITMAPS
    assert file.flushes > before


@pytest.mark.parametrize(
    "changes",
    [{"number": 3}, {"number": 0}, {"length": 1 << 30}, {"offset": 0}, {"offset": 1 << 40}, {"offset": 513}],
    ids=str,
)
def test_a_directory_that_can_not_be_is_refused(changes: dict[str, int]) -> None:
    file = image_with_bitmaps(**changes)
    content = bytes(file.content)
    with pytest.raises(Corrupt):
        Image(file)
    assert file.content == content
    assert check(file).error_count


def test_bitmaps_that_are_not_valid_any_more_are_none() -> None:
    file = image_with_bitmaps()
    header = read_header(file)
    assert bitmaps.directory_of(replace(header, autoclear=0)) is None
