import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from tgtcore_cow.qcow2.check import Report, check, examine
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.findings import LISTED_MAX, Findings, Remedy
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.layout import COMPRESSED, COPIED, OFFSET, ZERO

from tgtcore.testing.ram import RamStore

CLUSTER = 512
DISK = 128 * CLUSTER
SMALL = CreateOptions(DISK, cluster_bytes=CLUSTER)
EXTENDED = CreateOptions(64 << 14, cluster_bytes=1 << 14, extended_l2=True)


class Small:
    """An image in memory: 20 clusters of data in two tables, a snapshot, and 4 clusters written since."""

    def __init__(self, options: CreateOptions = SMALL) -> None:
        self.file = RamStore(0)
        create(self.file, options)
        image = Image(self.file)
        cluster = options.cluster_bytes
        image.write(0, b"a" * 10 * cluster)
        image.write(options.size_bytes // 2, b"b" * 10 * cluster)
        image.create_snapshot("before")
        image.write(2 * cluster, b"c" * 4 * cluster)
        image.flush()
        image.close()
        self.file.resize(check(self.file).image_end_offset)
        self.cluster_bytes = cluster
        self.words = 2 if options.extended_l2 else 1

    @property
    def header(self) -> Header:
        return read_header(self.file)

    def word(self, offset: int) -> int:
        return int.from_bytes(self.file.read(offset, 8), "big")

    def poke(self, offset: int, word: int) -> None:
        self.file.write(offset, word.to_bytes(8, "big"))

    def l2(self, table: int = 0, entry: int = 0) -> int:
        """Where an entry of an L2 table of the disk is."""
        return (self.word(self.header.l1_offset + 8 * table) & OFFSET) + 8 * self.words * entry

    def count_at(self, cluster: int) -> int:
        """Where the count of a cluster of the first block is."""
        return (self.word(self.header.refcount_table_offset)) + 2 * cluster

    def set_count(self, offset: int, count: int) -> None:
        self.file.write(self.count_at(offset // self.cluster_bytes), struct.pack(">H", count))

    def set_header(self, **fields: int) -> None:
        self.file.write(0, replace(self.header, **fields).patched(bytes(self.file.read(0, 512))))

    def check(self) -> Report:
        return check(self.file)


@pytest.mark.parametrize("options", [SMALL, EXTENDED, replace(SMALL, refcount_bits=2), replace(SMALL, version=2)])
def test_a_sound_image_is_clean(options: CreateOptions) -> None:
    small = Small(options)
    before = bytes(small.file.content)
    report = small.check()
    assert report.clean
    assert report.complete
    assert not report.errors + report.leaks
    assert report.allocated_clusters == 20
    assert report.total_clusters == options.size_bytes // options.cluster_bytes
    assert report.image_end_offset == small.file.size_bytes
    assert bytes(small.file.content) == before


def _point(where: Callable[[Small], int], to: Callable[[Small, int], int]) -> Callable[[Small], None]:
    def damage(small: Small) -> None:
        at = where(small)
        small.poke(at, to(small, small.word(at)))

    return damage


def _l2(entry: int = 3) -> Callable[[Small], int]:
    return lambda small: small.l2(entry=entry)


def _l1(small: Small) -> int:
    return small.header.l1_offset + 8


def _table(small: Small) -> int:
    return small.header.refcount_table_offset


DAMAGE = {
    "reserved bit of an L2 entry": (_point(_l2(), lambda _, word: word | 1 << 57), "has reserved bits", Remedy.ENTRY),
    "reserved bit of an L1 entry": (_point(_l1, lambda _, word: word | 1), "has reserved bits", Remedy.ENTRY),
    "data beyond the end": (
        _point(_l2(), lambda small, _: COPIED | small.file.size_bytes + CLUSTER * 9),
        "points beyond the end of the file",
        Remedy.ENTRY,
    ),
    "L2 table beyond the end": (
        _point(_l1, lambda small, _: COPIED | small.file.size_bytes + CLUSTER * 9),
        "points to no cluster of the file",
        Remedy.ENTRY,
    ),
    "data in the L1 table": (
        _point(_l2(), lambda small, _: COPIED | small.header.l1_offset),
        "points to an L1 table",
        Remedy.ENTRY,
    ),
    "data in an L2 table": (_point(_l2(), lambda small, _: COPIED | small.l2()), "points to an L2 table", Remedy.ENTRY),
    "data in the snapshot table": (
        _point(_l2(), lambda small, _: COPIED | small.header.snapshots_offset),
        "points to the snapshot table",
        Remedy.ENTRY,
    ),
    "data in the refcount table": (
        _point(_l2(), lambda small, _: COPIED | small.header.refcount_table_offset),
        "points to the refcount table",
        Remedy.REBUILD,
    ),
    "data in the header": (_point(_l2(), lambda *_: COPIED), "has no place", Remedy.ENTRY),
    "L2 table in the header": (_point(_l1, lambda *_: COPIED), "has no place", Remedy.ENTRY),
    "L2 table in the L1 table": (
        _point(_l1, lambda small, _: COPIED | small.header.l1_offset),
        "points to an L1 table",
        Remedy.ENTRY,
    ),
    "compressed data beyond the end": (
        _point(_l2(), lambda small, _: COMPRESSED | small.file.size_bytes + CLUSTER),
        "compressed data at",
        Remedy.ENTRY,
    ),
    "compressed data in the L1 table": (
        _point(_l2(), lambda small, _: COMPRESSED | small.header.l1_offset + 5),
        "has compressed data in an L1 table",
        Remedy.ENTRY,
    ),
    "compressed data marked as used once": (
        _point(_l2(), lambda _, word: COPIED | COMPRESSED | word),
        "is compressed and marked as used once",
        Remedy.ENTRY,
    ),
    "mark missing in an L2 table": (
        _point(_l2(), lambda _, word: word & ~COPIED),
        "is not marked as used once",
        Remedy.COPIED,
    ),
    "mark of shared data": (_point(_l2(8), lambda _, word: word | COPIED), "is marked as used once", Remedy.COPIED),
    "mark missing in the L1 table": (
        _point(_l1, lambda _, word: word & ~COPIED),
        "is not marked as used once",
        Remedy.COPIED,
    ),
    "refcount block within a cluster": (
        _point(_table, lambda _, word: word + 512 // 2),
        "whose reserved low bits are not zero",
        Remedy.REBUILD,
    ),
    "refcount block beyond the end": (
        _point(_table, lambda *_: 1 << 40),
        "expected a multiple of 0x200 before the end of the file",
        Remedy.REBUILD,
    ),
    "refcount block in the header": (_point(_table, lambda *_: 0), "has the count 0", Remedy.REBUILD),
    "refcount table in the L1 table": (
        lambda small: small.set_header(refcount_table_offset=small.header.l1_offset),
        "lies in the refcount table",
        Remedy.REBUILD,
    ),
    "refcount table beyond the end": (
        lambda small: small.set_header(refcount_table_offset=small.file.size_bytes),
        "reaches beyond the end of the file",
        Remedy.REBUILD,
    ),
    "L1 table beyond the end": (
        lambda small: small.set_header(l1_offset=CLUSTER << 20),
        "the L1 table has 16 bytes",
        Remedy.NONE,
    ),
    "snapshot table beyond the end": (
        lambda small: small.set_header(snapshots_offset=CLUSTER << 20),
        "the snapshot table can't be read",
        Remedy.NONE,
    ),
    "snapshot table in the L1 table": (
        lambda small: small.set_header(snapshots_offset=small.header.l1_offset),
        "the snapshot table",
        Remedy.NONE,
    ),
    "snapshot with the L1 table of the disk": (
        _point(lambda small: small.header.snapshots_offset, lambda small, _: small.header.l1_offset),
        "lies in an L1 table",
        Remedy.NONE,
    ),
    "count too low": (lambda small: small.set_count(small.l2(), 0), "has the count 0, but 1 references", Remedy.COUNT),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(name: str) -> None:
    damage, sentence, remedy = DAMAGE[name]
    small = Small()
    damage(small)
    report = small.check()
    assert any(sentence in str(error) and error.remedy is remedy for error in report.errors), report.errors


def test_misaligned_data_is_not_followed() -> None:
    small = Small(replace(SMALL, cluster_bytes=1024, size_bytes=2 * DISK))
    small.poke(small.l2(entry=3), small.word(small.l2(entry=3)) + 512)
    report = small.check()
    assert "expected a multiple of 0x400" in str(report.errors[0])
    assert not report.complete
    assert report.leak_count == 1


@pytest.mark.parametrize(
    ("bitmap", "sentence"),
    [(1 << 32 | 1, "with data that also read as zeroes"), (1, "with data, but no place for them")],
)
def test_bitmaps_of_subclusters_that_contradict_themselves_are_found(bitmap: int, sentence: str) -> None:
    small = Small(EXTENDED)
    at = small.l2(entry=3)
    if bitmap == 1:
        at = small.l2(entry=20)
        assert not small.word(at)
    small.poke(at + 8, bitmap)
    (error,) = small.check().errors
    assert sentence in str(error)
    assert error.offset == at + 8


def test_compressed_clusters_have_no_subclusters() -> None:
    small = Small(EXTENDED)
    small.poke(small.l2(entry=3), COMPRESSED | small.word(small.l2(entry=3)) & OFFSET)
    assert any("is compressed, but tells of subclusters" in str(error) for error in small.check().errors)


def test_version_2_has_no_bit_for_zeroes() -> None:
    for version, errors in ((2, 1), (3, 0)):
        small = Small(replace(SMALL, version=version))
        small.poke(small.l2(entry=3), small.word(small.l2(entry=3)) | ZERO)
        assert small.check().error_count == errors


def test_a_count_that_is_too_high_is_a_leak() -> None:
    small = Small()
    snapshots_alone = small.header.snapshots_offset
    small.set_count(snapshots_alone, 7)
    report = small.check()
    assert report.leak_count == 1
    assert not report.error_count
    assert report.leaks[0].offset == snapshots_alone
    assert "has the count 7, but 1 references" in str(report.leaks[0])


def test_counts_beyond_the_end_of_the_file_are_leaks() -> None:
    small = Small()
    small.set_count(small.file.size_bytes + CLUSTER, 1)
    report = small.check()
    assert (report.error_count, report.leak_count) == (0, 1)
    assert "beyond the end of the file" in str(report.leaks[0])
    assert report.image_end_offset == small.file.size_bytes + 2 * CLUSTER


def test_more_references_than_a_count_can_say_are_found() -> None:
    small = Small(replace(SMALL, refcount_bits=2))
    shared = small.word(small.l2(entry=8)) & OFFSET
    for entry in range(20, 30):
        small.poke(small.l2(entry=entry), shared)
    errors = [error for error in small.check().errors if "more than counts of this image can say" in str(error)]
    assert [error.remedy for error in errors] == [Remedy.NONE]


def test_many_references_are_counted() -> None:
    """Counts wider than those of the image, in memory, and shared tables that are looked at once."""
    small = Small(CreateOptions(1024 * 64 * CLUSTER, cluster_bytes=CLUSTER, refcount_bits=8))
    header = small.header
    for entry in range(header.l1_entries):
        small.poke(header.l1_offset + 8 * entry, small.l2() & ~511)
    data = small.word(small.l2(entry=8)) & OFFSET
    for entry in range(64):
        small.poke(small.l2(entry=entry), data)
    counted = examine(small.file, Findings()).references
    assert counted.count(data // CLUSTER) == header.l1_entries * 64 + 1
    assert not small.check().clean


def test_what_is_listed_is_bounded_and_all_is_counted() -> None:
    small = Small(CreateOptions(64 << 20, cluster_bytes=4096))
    for entry in range(512):
        small.poke(small.l2(entry=entry), 1 << 57 | 1 << 58)
    for cluster in range(1000, 1200):
        small.set_count(cluster * 4096, 1)
    report = small.check()
    assert len(report.errors) == len(report.leaks) == LISTED_MAX
    assert report.error_count >= 512
    assert report.leak_count >= 200


def test_bits_of_the_header_are_told() -> None:
    small = Small()
    assert not small.check().dirty
    small.set_header(incompatible=3)
    report = small.check()
    assert report.dirty
    assert report.corrupt
    assert report.clean


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", bytes(4096)])
def test_what_is_no_image_is_refused(content: bytes) -> None:
    file = RamStore(0)
    file.resize(len(content))
    file.content[:] = content
    with pytest.raises(ImageError):
        check(file)
