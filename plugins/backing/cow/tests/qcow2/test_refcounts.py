import errno
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.image import read_header
from tgtcore_cow.qcow2.refcounts import Refcounts

from tgtcore.testing.ram import RamStore

ORDERS = range(7)


def _reserve(_offset: int, _length: int) -> None:
    """There is room for every table."""


def _new(order: int = 4, cluster_bytes: int = 512) -> tuple[RamStore, Header]:
    file = RamStore(0)
    create(file, CreateOptions(1 << 20, cluster_bytes=cluster_bytes, refcount_bits=1 << order))
    return file, read_header(file)


def _counts(order: int = 4) -> Refcounts:
    return Refcounts(*_new(order), _reserve)


def _count_up(refcounts: Refcounts, header: Header, cluster: int) -> None:
    """Count a cluster as often as its width allows; the last time as everybody does."""
    number, index = divmod(cluster, header.layout.refcounts_per_block)
    block = refcounts.block(number)
    assert block is not None
    if header.layout.refcount_max > 1:
        block[index] = header.layout.refcount_max - 1
        refcounts.add([cluster], 1)


def _again(refcounts: Refcounts, file: RamStore, header: Header) -> Refcounts:
    """The same from their bytes, written as they are told."""
    table = b"".join(entry.to_bytes(8, "big") for entry in refcounts.table)
    changes = [*refcounts.taken_blocks(), (refcounts.table_offset, table)]
    file.resize(max(file.size_bytes, *(offset + len(content) for offset, content in changes)))
    for offset, content in changes:
        file.write(offset, content)
    return Refcounts(
        file,
        replace(
            header,
            refcount_table_offset=refcounts.table_offset,
            refcount_table_clusters=refcounts.table_clusters,
        ),
        _reserve,
    )


@pytest.mark.parametrize("order", ORDERS)
def test_counts_of_every_width_survive(order: int) -> None:
    file, header = _new(order)
    refcounts = Refcounts(file, header, _reserve)
    first = refcounts.allocate_together(3)
    highest = header.layout.refcount_max
    _count_up(refcounts, header, first)
    refcounts.add([first + 2], -1)
    again = _again(refcounts, file, header)
    assert [again.count(first + one) for one in range(4)] == [highest, 1, 0, 0]
    assert again.end == refcounts.end == first + 2


@pytest.mark.parametrize("order", ORDERS)
def test_no_count_goes_beyond_its_width(order: int) -> None:
    file, header = _new(order)
    refcounts = Refcounts(file, header, _reserve)
    first, _, _ = refcounts.allocate(1)
    highest = header.layout.refcount_max
    _count_up(refcounts, header, first)
    with pytest.raises(OSError, match=rf"cluster {first} would be used {highest + 1} times, .* at {highest}$") as error:
        refcounts.add([first], 1)
    assert error.value.errno == errno.EMLINK
    assert refcounts.count(first) == highest


def test_no_count_goes_below_zero() -> None:
    refcounts = _counts()
    free = refcounts.end
    with pytest.raises(Corrupt, match=f"cluster {free} is used more often than its reference count says"):
        refcounts.add([free], -1)
    with pytest.raises(Corrupt, match="cluster 1000000 is used, but there is no refcount block for it"):
        refcounts.add([1000000], 1)
    assert refcounts.count(1000000) == 0


def test_what_is_free_is_told_and_taken_again() -> None:
    refcounts = _counts()
    first = refcounts.allocate_together(4)
    assert refcounts.add([first + 1, first + 2], 1) == []
    assert refcounts.add([first + 1, first + 3], -1) == [first + 3]
    assert sorted(refcounts.add([first + 1, first], -1)) == [first, first + 1]
    assert refcounts.allocate(9) == (first, 2, False)


def test_only_what_nobody_wrote_reads_as_zeroes() -> None:
    file, header = _new()
    refcounts = Refcounts(file, header, _reserve)
    within = file.size_bytes // 512 - refcounts.end
    if within:
        assert refcounts.allocate(within)[2] is False
    first, count, untouched = refcounts.allocate(5)
    assert (count, untouched) == (5, True)
    refcounts.give_back(first, count)
    assert refcounts.allocate(5) == (first, 5, False)


@pytest.mark.parametrize("count", [63, 64, 65, 1000, 5000])
def test_a_run_may_be_longer_than_what_a_block_counts(count: int) -> None:
    file, header = _new(6)
    refcounts = Refcounts(file, header, _reserve)
    first = refcounts.allocate_together(count)
    refcounts = _again(refcounts, file, header)
    assert all(refcounts.count(cluster) == 1 for cluster in range(first, first + count))
    own = list(refcounts.metadata_clusters())
    assert set(own).isdisjoint(range(first, first + count))
    assert all(refcounts.count(cluster) == 1 for cluster in own)


def test_counts_are_told_in_order() -> None:
    refcounts = _counts(6)
    first = refcounts.allocate_together(100)
    refcounts.add([first + 99, first + 99, first], 1)
    assert list(refcounts.counts([first + 99, 1 << 30, first, first + 1])) == [
        (first, 2),
        (first + 1, 1),
        (first + 99, 3),
        (1 << 30, 0),
    ]
    assert refcounts.numbers([first + 99, first, 64 * 5]) == {first // 64, (first + 99) // 64, 5}


def test_one_by_one_the_free_ones_are_found_without_looking() -> None:
    refcounts = _counts()
    first, _, _ = refcounts.allocate(1)
    assert refcounts.next_free() == first + 1
    refcounts.take(first + 1)
    assert refcounts.next_free() == first + 2
    assert refcounts.count(first + 1) == 1


def test_a_full_block_has_no_next_one() -> None:
    refcounts = _counts(6)
    per_block = 64
    refcounts.allocate(per_block - refcounts.end % per_block)
    assert refcounts.next_free() is None
    first, _, _ = refcounts.allocate(1)
    assert refcounts.count(first) == 1


@pytest.mark.parametrize("order", ORDERS)
def test_the_table_moves_when_it_is_full_and_everything_stays_counted(order: int) -> None:
    file, header = _new(order)
    refcounts = Refcounts(file, header, _reserve)
    was = range(refcounts.table_offset >> 9, (refcounts.table_offset >> 9) + refcounts.table_clusters)
    mapped = len(refcounts.table) * header.layout.refcounts_per_block
    taken: list[int] = []
    while len(taken) <= mapped:
        first, count, _ = refcounts.allocate(1 << 16)
        taken += range(first, first + count)
    assert len(set(taken)) == len(taken)
    assert refcounts.moved
    assert set(was) <= set(refcounts.retired)
    again = _again(refcounts, file, header)
    assert all(again.count(cluster) == 1 for cluster in (*taken[::101], taken[-1]))
    own = list(again.metadata_clusters())
    assert set(own).isdisjoint(taken)
    assert all(again.count(cluster) == 1 for cluster in own)
    assert len(set(own)) == len(own)


def test_a_run_never_includes_what_is_in_use() -> None:
    refcounts = _counts(6)
    first = refcounts.allocate_together(10)
    refcounts.add([first + 2, first + 3, first + 6], -1)
    assert refcounts.allocate_together(3) >= first + 10
    assert refcounts.allocate(3)[:2] == (first + 2, 2)
    assert refcounts.allocate(3)[:2] == (first + 6, 1)


@given(st.lists(st.tuples(st.integers(1, 90), st.booleans()), max_size=40), st.sampled_from(ORDERS))
def test_no_cluster_is_given_twice(steps: list[tuple[int, bool]], order: int) -> None:
    refcounts = _counts(order)
    used: set[int] = set(refcounts.metadata_clusters()) | set(range(refcounts.end))
    ours: list[int] = []
    for most, gives_back in steps:
        first, count, _ = refcounts.allocate(most)
        assert 1 <= count <= most
        new = set(range(first, first + count))
        assert new.isdisjoint(used)
        assert new.isdisjoint(refcounts.metadata_clusters())
        used |= new
        ours += sorted(new)
        if gives_back:
            freed = ours[::3]
            assert sorted(refcounts.add(freed, -1)) == sorted(freed)
            used.difference_update(freed)
            ours = [one for one in ours if one in used]
    assert all(refcounts.count(cluster) == 1 for cluster in used)


def test_room_is_made_before_it_is_needed() -> None:
    refcounts = _counts(6)
    refcounts.make_room(10_000)
    refcounts.moved = False
    place = refcounts.table_offset
    taken = 0
    while taken < 10_000:
        taken += refcounts.allocate(10_000 - taken)[1]
    assert (refcounts.moved, refcounts.table_offset) == (False, place)


def test_a_table_larger_than_any_may_be_is_not_made() -> None:
    refcounts = _counts()
    with pytest.raises(OSError, match="its refcount table would have more than 8 MiB") as error:
        refcounts.make_room(1 << 29)
    assert error.value.errno == errno.EFBIG


@pytest.mark.parametrize("place", [1 << 40, 1 << 55, 1 << 62])
def test_a_table_that_points_nowhere_is_damaged(place: int) -> None:
    file, header = _new()
    file.write(header.refcount_table_offset, place.to_bytes(8, "big"))
    with pytest.raises(Corrupt, match="a refcount block is at 0x"):
        Refcounts(file, header, _reserve)
    with pytest.raises(Corrupt, match="the refcount table is at 0x"):
        Refcounts(file, replace(header, refcount_table_offset=1 << 40), _reserve)
