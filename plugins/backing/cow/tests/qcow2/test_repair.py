import errno
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture
from tgtcore_cow.qcow2 import snapshot_table
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.findings import LISTED_MAX, Remedy
from tgtcore_cow.qcow2.header import Autoclear
from tgtcore_cow.qcow2.image import Image
from tgtcore_cow.qcow2.layout import COPIED, OFFSET
from tgtcore_cow.qcow2.repair import repair

from tgtcore import Buffer, Features
from tgtcore.testing.ram import RamStore

CLUSTER = 512
EXTENDED = {"size_bytes": 64 << 14, "cluster_bytes": 1 << 14, "extended_l2": True}
Make = Callable[..., Any]
"""Makes a small image."""


def lose_all_counts(image: Any) -> None:
    header = image.header
    image.file.write(image.word(header.refcount_table_offset), bytes(image.cluster_bytes))


def lose_the_table(image: Any) -> None:
    image.file.write(image.header.refcount_table_offset, bytes(image.cluster_bytes))


def scramble_the_table(image: Any) -> None:
    image.poke(image.header.refcount_table_offset, 0x1234_5678_9ABC_DEF0)


def table_beyond_the_end(image: Any) -> None:
    image.set_header(refcount_table_offset=image.cluster_bytes << 30)


def raise_counts(image: Any) -> None:
    for cluster in range(0, image.file.size_bytes // image.cluster_bytes, 3):
        image.set_count(cluster * image.cluster_bytes, 9)


def lower_counts(image: Any) -> None:
    for cluster in range(1, image.file.size_bytes // image.cluster_bytes, 3):
        image.set_count(cluster * image.cluster_bytes, 0)


def wrong_marks(image: Any) -> None:
    for entry in range(10):
        at = image.l2(entry=entry)
        image.poke(at, image.word(at) ^ COPIED)
    image.poke(image.header.l1_offset, image.word(image.header.l1_offset) ^ COPIED)


def snapshots_without_sizes(image: Any) -> None:
    if image.header.version == 3:
        image.forget_snapshot_sizes()
    else:
        lose_the_table(image)


def reserved_bits(image: Any) -> None:
    image.poke(image.l2(entry=1), image.word(image.l2(entry=1)) | 1 << 60)
    image.poke(image.header.l1_offset, image.word(image.header.l1_offset) | 1)


def a_bit_of_everything(image: Any) -> None:
    raise_counts(image)
    lower_counts(image)
    wrong_marks(image)
    reserved_bits(image)


HARMLESS = [
    lose_all_counts,
    lose_the_table,
    scramble_the_table,
    table_beyond_the_end,
    raise_counts,
    lower_counts,
    wrong_marks,
    snapshots_without_sizes,
    reserved_bits,
    a_bit_of_everything,
]
"""Damage that takes none of the disk's data."""


@pytest.mark.parametrize("options", [{}, EXTENDED, {"version": 2}], ids=["plain", "extended", "version 2"])
@pytest.mark.parametrize("damage", HARMLESS)
def test_what_is_damaged_is_made_right_and_the_disk_stays(
    small: Make, damage: Callable[[Any], None], options: dict[str, Any]
) -> None:
    image = small(**options)
    disk = image.disk()
    damage(image)
    if image.header.version == 3:
        image.set_header(incompatible=image.header.incompatible | 3)
    repaired = repair(image.file, "all")
    assert not repaired.before.clean
    assert repaired.after.clean
    assert not repaired.after.dirty
    assert not repaired.after.corrupt
    assert check(image.file) == repaired.after
    assert not image.header.incompatible & 3
    assert image.disk() == disk


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("cluster_bytes", [512, 4096])
def test_counts_of_every_width_are_made_anew(small: Make, bits: int, cluster_bytes: int) -> None:
    image = small(2000 * cluster_bytes, cluster_bytes=cluster_bytes, refcount_bits=bits)
    disk = image.disk()
    lose_the_table(image)
    repaired = repair(image.file, "all")
    assert repaired.counts_rebuilt
    assert repaired.after.clean
    assert image.disk() == disk


class Recorder(RamStore):
    """Remembers in which sectors it was written, between one flush and the next."""

    def __init__(self, content: bytes) -> None:
        super().__init__(len(content))
        self.content[:] = content
        self.between_flushes: list[list[tuple[int, bytes]]] = [[]]

    def write(self, offset: int, data: Buffer) -> None:
        super().write(offset, data)
        self.between_flushes[-1] += [(offset + at, bytes(data[at : at + 512])) for at in range(0, len(data), 512)]

    def flush(self) -> None:
        super().flush()
        self.between_flushes.append([])

    def after_power_cuts(self, content: bytes) -> Iterator[bytes]:
        """Every state in order, and some in which sectors that were written since the last flush are there in another order."""
        random, durable = Random(1), bytearray(content.ljust(self.size_bytes, b"\0"))
        for sectors in self.between_flushes:
            chosen = [sectors[:number] for number in range(1, len(sectors) + 1)][-40:]
            chosen += [random.sample(sectors, random.randrange(len(sectors))) for _ in range(20) if sectors]
            for there in chosen:
                state = durable[:]
                for offset, data in there:
                    state[offset : offset + len(data)] = data
                yield bytes(state)
            for offset, data in sectors:
                durable[offset : offset + len(data)] = data


@pytest.mark.parametrize("cluster_bytes", [512, 4096])
@pytest.mark.parametrize("damage", HARMLESS)
def test_an_interrupted_repair_leaves_nothing_worse(
    small: Make, damage: Callable[[Any], None], cluster_bytes: int
) -> None:
    image = small(128 * cluster_bytes, cluster_bytes=cluster_bytes)
    disk = image.disk()
    damage(image)
    worst = check(image.file)
    recorder = Recorder(bytes(image.file.content))
    repair(recorder, "all")
    states = list(recorder.after_power_cuts(bytes(image.file.content)))
    assert states
    for state in states:
        file = RamStore(len(state))
        file.content[:] = state
        found = check(file)
        others = [error for error in found.errors if error.remedy is not Remedy.COPIED]
        assert len(others) <= worst.error_count
        assert found.complete or not worst.complete
        assert repair(file, "all").after.clean
        assert bytes(Image(file, read_only=True).read(0, len(disk))) == disk


def test_leaks_are_freed_and_nothing_else_is_touched(small: Make) -> None:
    image = small()
    disk = image.disk()
    raise_counts(image)
    before = bytes(image.file.content)
    repaired = repair(image.file)
    assert repaired.before.leak_count > 10
    assert repaired.after.clean
    changed = {at // CLUSTER for at in range(len(before)) if before[at] != image.file.content[at]}
    tables = {image.word(image.header.l1_offset + 8 * table) & OFFSET for table in range(2)}
    assert changed <= {image.word(image.header.refcount_table_offset) // CLUSTER} | {
        table // CLUSTER for table in tables
    }
    assert image.disk() == disk


def test_a_repair_of_leaks_leaves_errors_alone(small: Make) -> None:
    image = small()
    raise_counts(image)
    lower_counts(image)
    wrong_marks(image)
    before = [image.word(image.l2(entry=entry)) for entry in range(20)]
    repaired = repair(image.file, "leaks")
    assert not repaired.after.leak_count
    assert repaired.after.error_count
    assert [image.word(image.l2(entry=entry)) for entry in range(20)] == before


def test_leaks_are_not_freed_while_they_may_be_data(small: Make) -> None:
    image = small()
    image.poke(image.header.l1_offset, 1 << 40)
    before = bytes(image.file.content)
    with pytest.raises(
        ImageError, match="may be data, because not everything could be followed: entry 0 of the L1 table"
    ):
        repair(image.file, "leaks")
    assert bytes(image.file.content) == before


def test_entries_that_point_nowhere_become_unallocated_and_are_listed(small: Make) -> None:
    image = small()
    disk = bytearray(image.disk())
    image.poke(image.l2(entry=3), COPIED | 1 << 40)
    image.poke(image.l2(entry=5), COPIED | image.header.l1_offset)
    disk[3 * CLUSTER : 4 * CLUSTER] = disk[5 * CLUSTER : 6 * CLUSTER] = bytes(CLUSTER)
    repaired = repair(image.file, "all")
    assert repaired.mended_count == 2
    assert ["entry 3 of the L2 table" in str(repaired.mended[0]), "entry 5" in str(repaired.mended[1])] == [True, True]
    assert repaired.after.clean
    assert image.disk() == disk


def test_subclusters_without_a_place_are_unallocated_and_their_zeroes_stay(small: Make) -> None:
    image = small(**EXTENDED)
    image.poke(image.l2(entry=3), COPIED | 1 << 40)
    image.poke(image.l2(entry=3) + 8, 6 << 32 | 1)
    repaired = repair(image.file, "all")
    assert repaired.mended_count == 1
    assert repaired.after.clean
    assert [image.word(image.l2(entry=3)), image.word(image.l2(entry=3) + 8)] == [0, 6 << 32]


def test_the_list_of_mended_entries_is_bounded(small: Make) -> None:
    image = small(64 << 20, cluster_bytes=4096)
    for entry in range(512):
        image.poke(image.l2(entry=entry), 1 << 57)
    repaired = repair(image.file, "all")
    assert repaired.mended_count >= 512
    assert len(repaired.mended) == LISTED_MAX
    assert repaired.after.clean


def test_snapshots_that_can_not_be_read_keep_their_clusters(small: Make) -> None:
    image = small()
    disk = image.disk()
    place = image.header.snapshots_offset
    image.set_header(snapshots_offset=CLUSTER << 20)
    lower_counts(image)
    repaired = repair(image.file, "all")
    assert "the snapshot table can't be read" in str(repaired.after.errors[0])
    assert Remedy.COUNT not in {error.remedy for error in repaired.after.errors}
    assert repaired.after.leak_count
    image.set_header(snapshots_offset=place)
    assert repair(image.file, "all").after.clean
    assert image.disk() == disk


def test_more_references_than_counts_can_say_stay_an_error(small: Make) -> None:
    image = small(refcount_bits=2)
    shared = image.word(image.l2(entry=8)) & OFFSET
    for entry in range(20, 30):
        image.poke(image.l2(entry=entry), shared)
    image.set_header(incompatible=2)
    repaired = repair(image.file, "all")
    assert any("more than counts of this image can say" in str(error) for error in repaired.after.errors)
    assert repaired.after.corrupt


def test_damaged_bitmaps_are_given_up(small: Make) -> None:
    image = small()
    image.file.write(0, image.header.with_extension(0x23852875, bytes(24)).encode())
    image.set_header(autoclear=Autoclear.BITMAPS | 1 << 40)
    repaired = repair(image.file, "all")
    assert "the bitmaps can't be read" in str(repaired.before.errors[0])
    assert repaired.bitmaps_dropped
    assert repaired.after.clean
    assert image.header.autoclear == 0


def test_bitmaps_are_not_complete_when_entries_were_mended(small: Make) -> None:
    image = small()
    place = image.add_bitmap() - CLUSTER
    raise_counts(image)
    assert repair(image.file, "all").after.clean
    assert image.file.content[place + 15] == 2, "counts are not the disk"
    reserved_bits(image)
    repaired = repair(image.file, "all")
    assert repaired.after.clean
    assert not repaired.bitmaps_dropped
    assert image.file.content[place + 15] == 3, "in use, which means not complete"


def test_a_snapshot_table_without_sizes_is_written_anew(small: Make) -> None:
    image = small()
    before = snapshot_table.read(image.file, image.header)[0]
    image.forget_snapshot_sizes()
    former = image.header.snapshots_offset
    repaired = repair(image.file, "all")
    assert [error.remedy for error in repaired.before.errors] == [Remedy.SNAPSHOTS]
    assert repaired.after.clean
    assert image.header.snapshots_offset != former
    after = snapshot_table.read(image.file, image.header)[0]
    assert [(one.name, one.size_bytes, one.created_ns) for one in after] == [
        (one.name, one.size_bytes, one.created_ns) for one in before
    ]


def test_a_sound_image_is_not_written(small: Make) -> None:
    image = small()
    before = bytes(image.file.content)
    for what in ("leaks", "all"):
        repaired = repair(image.file, what)
        assert repaired.before == repaired.after
    assert bytes(image.file.content) == before


def test_an_image_opened_for_reading_is_not_repaired(small: Make) -> None:
    class ReadOnly(RamStore):
        def features(self) -> Features:
            return Features.NONE

    with pytest.raises(ImageError, match="reading only"):
        repair(ReadOnly(4096), "all")


@pytest.mark.parametrize("bits", [16, 64])
def test_new_counts_count_themselves_wherever_they_begin(small: Make, bits: int) -> None:
    for spare in range(0, 150, 3):
        image = small(refcount_bits=bits)
        last = image.file.size_bytes + spare * CLUSTER
        image.file.resize(last + CLUSTER)
        image.poke(image.l2(entry=30), COPIED | last)
        disk = image.disk()
        lose_the_table(image)
        repaired = repair(image.file, "all")
        assert repaired.after.clean
        assert image.disk() == disk


def test_new_counts_that_need_too_long_a_table_are_refused(small: Make, mocker: MockerFixture) -> None:
    mocker.patch("tgtcore_cow.qcow2.rebuild.REFCOUNT_TABLE_BYTES_MAX", CLUSTER)
    image = small(refcount_bits=64)
    image.file.resize(5000 * CLUSTER)
    image.poke(image.l2(entry=30), COPIED | 4999 * CLUSTER)
    before = bytes(image.file.content)
    with pytest.raises(ImageError, match="a new refcount table would have 632 bytes, at most 512"):
        repair(image.file, "all")
    assert bytes(image.file.content) == before


def test_data_in_a_file_of_its_own_is_marked_again(small: Make) -> None:
    image = small(data_file="data", cluster_bytes=4096, size_bytes=64 * 4096)
    disk = image.disk()
    image.poke(image.l2(entry=3), image.word(image.l2(entry=3)) & ~COPIED)
    assert repair(image.file, "all").after.clean
    assert image.disk() == disk


def test_new_counts_need_space(small: Make) -> None:
    class Fixed(RamStore):
        def features(self) -> Features:
            return super().features() & ~Features.RESIZE

    image = small()
    lose_the_table(image)
    file = Fixed(image.file.size_bytes)
    file.content[:] = before = bytes(image.file.content)
    with pytest.raises(OSError, match="can't grow") as refused:
        repair(file, "all")
    assert refused.value.errno == errno.ENOSPC
    assert bytes(file.content) == before


def test_files_of_whole_blocks_are_read_and_written_by_the_block(small: Make) -> None:
    class Blocks(RamStore):
        block_bytes = 512

        def read(self, offset: int, length: int) -> Buffer:
            assert length
            assert not (offset | length) % 512
            return super().read(offset, length)

        def write(self, offset: int, data: Buffer) -> None:
            assert not (offset | len(data)) % 512
            super().write(offset, data)

    image = small()
    a_bit_of_everything(image)
    file = Blocks(image.file.size_bytes)
    file.content[:] = image.file.content
    assert repair(file, "all").after.clean


VARIANTS: list[dict[str, Any]] = [
    {},
    {"version": 2},
    {"refcount_bits": 2},
    {"refcount_bits": 64},
    {"size_bytes": 64 << 14, "cluster_bytes": 1 << 14, "extended_l2": True},
]


@given(data=st.data())
def test_any_bytes_are_looked_at_and_repaired_or_refused(small: Make, data: st.DataObject) -> None:
    image = small(**data.draw(st.sampled_from(VARIANTS)))
    tables = [0, image.header.l1_offset, image.header.refcount_table_offset, image.header.snapshots_offset]
    tables += [image.l2(0), image.l2(1), image.word(image.header.refcount_table_offset)]
    places = st.one_of(
        st.tuples(st.sampled_from(tables), st.integers(0, 127)),
        st.tuples(st.just(0), st.integers(0, image.file.size_bytes - 1)),
    )
    for base, at in data.draw(st.lists(places, min_size=1, max_size=12)):
        image.file.content[base + at] = data.draw(st.integers(0, 255))
    image.file.resize(
        data.draw(st.sampled_from([image.file.size_bytes, image.file.size_bytes // 2, image.file.size_bytes - 77]))
    )
    before = bytes(image.file.content)
    try:
        check(image.file)
        assert bytes(image.file.content) == before
        repaired = repair(image.file, data.draw(st.sampled_from(["all", "leaks"])))
    except ImageError as refused:
        assert str(refused)
        return
    again = check(image.file)
    assert again == repaired.after
    assert image.file.size_bytes < len(before) + (4 << 20)
    if repaired.after.clean:
        assert repair(image.file, "all").after.clean
