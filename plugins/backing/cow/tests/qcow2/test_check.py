from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture
from tgtcore_cow.qcow2.check import check, examine
from tgtcore_cow.qcow2.errors import Corrupt, ImageError
from tgtcore_cow.qcow2.findings import LISTED_MAX, Findings, Remedy
from tgtcore_cow.qcow2.header import Autoclear
from tgtcore_cow.qcow2.image import Image
from tgtcore_cow.qcow2.layout import COMPRESSED, COPIED, OFFSET, ZERO

from tgtcore import Buffer, Extent
from tgtcore.testing.ram import RamStore

CLUSTER = 512
DISK = 128 * CLUSTER
EXTENDED = {"size_bytes": 64 << 14, "cluster_bytes": 1 << 14, "extended_l2": True}
Make = Callable[..., Any]
"""Makes a small image."""


@pytest.mark.parametrize("options", [{}, EXTENDED, {"refcount_bits": 2}, {"version": 2}])
def test_a_sound_image_is_clean(small: Make, options: dict[str, Any]) -> None:
    image = small(**options)
    before = bytes(image.file.content)
    report = image.check()
    assert report.clean
    assert report.complete
    assert not report.errors + report.leaks
    assert report.allocated_clusters == 20
    assert report.total_clusters == 128 if not image.header.extended_l2 else 64
    assert report.image_end_offset == image.file.size_bytes
    assert bytes(image.file.content) == before


def test_an_image_that_is_open_is_clean_after_a_flush(small: Make) -> None:
    image = small()
    opened = Image(image.file)
    for step in range(20):
        opened.write(step * CLUSTER * 6 % DISK, b"d" * 2 * CLUSTER)
        opened.create_snapshot(f"step {step}")
        opened.write_zeroes(step * CLUSTER * 5 % DISK, CLUSTER)
        opened.unmap(step * CLUSTER * 3 % DISK, CLUSTER)
        if step % 3 == 2:
            opened.delete_snapshot(f"step {step - 1}")
        opened.flush()
        assert image.check().clean
    opened.close()


def _point(where: Callable[[Any], int], to: Callable[[Any, int], int]) -> Callable[[Any], None]:
    def damage(small: Any) -> None:
        at = where(small)
        small.poke(at, to(small, small.word(at)))

    return damage


def _l2(entry: int = 3) -> Callable[[Any], int]:
    return lambda small: small.l2(entry=entry)


def _l1(small: Any) -> int:
    return small.header.l1_offset + 8


def _table(small: Any) -> int:
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
def test_damage_is_found(small: Make, name: str) -> None:
    damage, sentence, remedy = DAMAGE[name]
    image = small()
    damage(image)
    report = image.check()
    assert any(sentence in str(error) and error.remedy is remedy for error in report.errors), report.errors


def test_misaligned_data_is_not_followed(small: Make) -> None:
    image = small(2 * DISK, cluster_bytes=1024)
    image.poke(image.l2(entry=3), image.word(image.l2(entry=3)) + 512)
    report = image.check()
    assert "expected a multiple of 0x400" in str(report.errors[0])
    assert not report.complete
    assert report.leak_count == 1


@pytest.mark.parametrize(
    ("bitmap", "sentence"),
    [(1 << 32 | 1, "with data that also read as zeroes"), (1, "with data, but no place for them")],
)
def test_bitmaps_of_subclusters_that_contradict_themselves_are_found(small: Make, bitmap: int, sentence: str) -> None:
    image = small(**EXTENDED)
    at = image.l2(entry=3)
    if bitmap == 1:
        at = image.l2(entry=20)
        assert not image.word(at)
    image.poke(at + 8, bitmap)
    (error,) = image.check().errors
    assert sentence in str(error)
    assert error.offset == at + 8


def test_compressed_clusters_have_no_subclusters(small: Make) -> None:
    image = small(**EXTENDED)
    image.poke(image.l2(entry=3), COMPRESSED | image.word(image.l2(entry=3)) & OFFSET)
    assert any("is compressed, but tells of subclusters" in str(error) for error in image.check().errors)


def test_version_2_has_no_bit_for_zeroes(small: Make) -> None:
    for version, errors in ((2, 1), (3, 0)):
        image = small(version=version)
        image.poke(image.l2(entry=3), image.word(image.l2(entry=3)) | ZERO)
        assert image.check().error_count == errors


def test_a_count_that_is_too_high_is_a_leak(small: Make) -> None:
    image = small()
    snapshots_alone = image.header.snapshots_offset
    image.set_count(snapshots_alone, 7)
    report = image.check()
    assert report.leak_count == 1
    assert not report.error_count
    assert report.leaks[0].offset == snapshots_alone
    assert "has the count 7, but 1 references" in str(report.leaks[0])


def test_counts_beyond_the_end_of_the_file_are_leaks(small: Make) -> None:
    image = small()
    image.set_count(image.file.size_bytes + CLUSTER, 1)
    report = image.check()
    assert (report.error_count, report.leak_count) == (0, 1)
    assert "beyond the end of the file" in str(report.leaks[0])
    assert report.image_end_offset == image.file.size_bytes + 2 * CLUSTER


def test_more_references_than_a_count_can_say_are_found(small: Make) -> None:
    image = small(refcount_bits=2)
    shared = image.word(image.l2(entry=8)) & OFFSET
    for entry in range(20, 30):
        image.poke(image.l2(entry=entry), shared)
    errors = [error for error in image.check().errors if "more than counts of this image can say" in str(error)]
    assert [error.remedy for error in errors] == [Remedy.NONE]


def test_many_references_are_counted(small: Make) -> None:
    """Counts wider than those of the image, in memory, and shared tables that are looked at once."""
    image = small(1024 * 64 * CLUSTER, refcount_bits=8)
    header = image.header
    for entry in range(header.l1_entries):
        image.poke(header.l1_offset + 8 * entry, image.l2() & ~511)
    data = image.word(image.l2(entry=8)) & OFFSET
    for entry in range(64):
        image.poke(image.l2(entry=entry), data)
    counted = examine(image.file, Findings()).references
    assert counted.count(data // CLUSTER) == header.l1_entries * 64 + 1
    assert not image.check().clean


def test_what_is_listed_is_bounded_and_all_is_counted(small: Make) -> None:
    image = small(64 << 20, cluster_bytes=4096)
    for entry in range(512):
        image.poke(image.l2(entry=entry), 1 << 57 | 1 << 58)
    for cluster in range(1000, 1200):
        image.set_count(cluster * 4096, 1)
    report = image.check()
    assert len(report.errors) == len(report.leaks) == LISTED_MAX
    assert report.error_count >= 512
    assert report.leak_count >= 200


def test_bitmaps_are_followed(small: Make) -> None:
    image = small()
    table = image.add_bitmap(0, 1, 0)
    image.file.resize(table + 2 * CLUSTER)
    image.poke(table + 16, table + CLUSTER)
    for place in range(table - CLUSTER, table + 2 * CLUSTER, CLUSTER):
        image.set_count(place, 1)
    assert image.check().clean
    image.poke(table, 2)
    image.poke(table + 16, table + CLUSTER + 1)
    errors = image.check().errors
    assert [error.offset for error in errors] == [table, table + 16]
    assert all("of bitmap 'dirty' has reserved bits" in str(error) for error in errors)
    image.set_header(autoclear=0)
    report = image.check()
    assert (report.error_count, report.leak_count) == (0, 3)


def test_data_in_a_bitmap_costs_the_bitmap(small: Make) -> None:
    image = small()
    table = image.add_bitmap()
    image.poke(image.l2(entry=3), COPIED | table - CLUSTER)
    (overlap,) = [error for error in image.check().errors if "points to a bitmap" in str(error)]
    assert overlap.remedy is Remedy.BITMAPS


def test_data_in_a_file_of_its_own_is_not_counted_and_always_marked(small: Make) -> None:
    image = small(data_file="data", cluster_bytes=4096, size_bytes=64 * 4096)
    assert image.check().clean
    assert image.check().allocated_clusters == 20
    image.poke(image.l2(entry=3), image.word(image.l2(entry=3)) & ~COPIED)
    image.poke(image.l2(entry=4), COMPRESSED | 4096)
    assert ["is compressed" in str(error) for error in image.check().errors] == [True, False]
    assert "always is" in str(image.check().errors[1])


def test_a_block_has_the_counts_of_one_range_only(small: Make) -> None:
    image = small(refcount_bits=64)
    table = image.header.refcount_table_offset
    image.poke(table + 8 * 5, image.word(table))
    assert any("which is a refcount block already" in str(error) for error in image.check().errors)
    image.poke(table + 8 * 5, image.header.l1_offset)
    assert any("lies in a refcount block" in str(error) for error in image.check().errors)
    image.poke(table + 8 * 5, 0)
    assert image.check().clean


def test_counts_that_are_not_in_memory_are_read_again(small: Make, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_cow.qcow2.stored_counts._MEMORY_BYTES", 0)
    image = small(300 * CLUSTER, refcount_bits=64)
    Image(image.file).write(0, b"e" * 300 * CLUSTER)
    assert image.check().clean


def test_an_image_that_points_all_over_an_endless_file_takes_no_endless_memory(
    small: Make, mocker: MockerFixture
) -> None:
    class Sparse(RamStore):
        """Zeroes behind what was there."""

        def read(self, offset: int, length: int) -> Buffer:
            return bytes(self.content[offset : offset + length]).ljust(length, b"\0")

    image = small(1 << 22, cluster_bytes=1 << 14, refcount_bits=1)
    file = Sparse(0)
    file.content = image.file.content
    file.size_bytes = 1 << 54
    per_block = (8 << 14) << 14
    for entry in range(200):
        image.poke(image.l2(entry=entry), per_block * (entry + 1))
    mocker.patch("tgtcore_cow.qcow2.references.COUNTS_BYTES_MAX", 100 * (8 << 14))
    with pytest.raises(ImageError, match=r"would take more than 13107200 bytes of memory"):
        check(file)
    mocker.patch("tgtcore_cow.qcow2.references.COUNTS_BYTES_MAX", 202 * (8 << 14))
    assert check(file).error_count >= 200


def test_tables_in_holes_are_not_read(small: Make) -> None:
    class Sparse(RamStore):
        """Holes behind what was there, which must not be read."""

        def read(self, offset: int, length: int) -> Buffer:
            assert offset < len(self.content)
            return bytes(super().read(offset, length)).ljust(length, b"\0")

        def extents(self, offset: int, length: int) -> tuple[Extent]:
            return (Extent(offset, length, offset < len(self.content)),)

    image = small(64 << 20)
    file = Sparse(0)
    file.content = image.file.content
    file.size_bytes = 1 << 50
    header = image.header
    for number in range(2, 60):
        image.poke(header.l1_offset + 8 * number, COPIED | number << 40)
        image.poke(header.refcount_table_offset + 8 * number, number + 60 << 40)
    report = check(file)
    assert report.error_count == 3 * 58, "tables without a count, which are not used once; and blocks without a count"
    assert not report.leak_count


def test_snapshots_without_a_size_are_an_error_of_version_3(small: Make) -> None:
    for version, errors in ((2, 0), (3, 1)):
        image = small(version=version)
        image.forget_snapshot_sizes()
        assert image.check().error_count == errors
    (error,) = image.check().errors
    assert "does not tell the size of each snapshot's disk" in str(error)


def test_bits_of_the_header_are_told(small: Make) -> None:
    image = small()
    assert not image.check().dirty
    image.set_header(incompatible=3)
    report = image.check()
    assert report.dirty
    assert report.corrupt
    assert report.clean


def test_a_raw_data_file_that_there_is_not_is_refused(small: Make) -> None:
    image = small()
    image.set_header(autoclear=Autoclear.DATA_FILE_RAW)
    with pytest.raises(Corrupt, match="there is no data file"):
        image.check()


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", bytes(4096)])
def test_what_is_no_image_is_refused(content: bytes) -> None:
    file = RamStore(0)
    file.resize(len(content))
    file.content[:] = content
    with pytest.raises(ImageError):
        check(file)
