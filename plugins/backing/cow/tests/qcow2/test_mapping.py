from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.image import read_header
from tgtcore_cow.qcow2.layout import ALL_SUBCLUSTERS, COMPRESSED, COPIED, OFFSET, ZERO, Layout
from tgtcore_cow.qcow2.mapping import NOWHERE, Cluster, Map, Table, compressed_clusters

from tgtcore.testing.ram import RamStore

CLUSTER = 16384
PLACE = 1 << 20
L2_AT = 16 * CLUSTER

Maps = Callable[..., Map]


@pytest.fixture(scope="module")
def maps() -> Maps:
    """Makes the map of a new image, whose L1 table then points to an L2 table with some words."""

    def make(words: dict[int, int] | None = None, metadata: set[int] | None = None, **keys: Any) -> Map:
        file = RamStore(0)
        data_file = RamStore(0) if "data_file" in keys else None
        create(file, CreateOptions(64 << 20, cluster_bytes=CLUSTER, **keys), data_file)
        file.resize(4 << 20)
        header = read_header(file)
        if words is not None:
            file.write(header.l1_offset, (L2_AT | COPIED).to_bytes(8, "big"))
            for at, word in words.items():
                file.write(L2_AT + 8 * at, word.to_bytes(8, "big"))
        return Map(file, header, metadata if metadata is not None else {0})

    return make


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (0, NOWHERE),
        (ZERO, Cluster(0, False, 0, 1)),
        (PLACE, Cluster(PLACE, False, 1, 0)),
        (PLACE | COPIED, Cluster(PLACE, True, 1, 0)),
        (PLACE | COPIED | ZERO, Cluster(PLACE, True, 0, 1)),
        (COMPRESSED | 12345, Cluster(COMPRESSED | 12345, False, 1, 0, compressed=True)),
    ],
)
def test_what_a_standard_entry_says(maps: Maps, entry: int, expected: Cluster) -> None:
    cluster_map = maps({5: entry})
    if expected.compressed:
        expected = expected._replace(host=12345)
        assert cluster_map.cluster(5)._replace(host=12345) == expected
    else:
        assert cluster_map.cluster(5) == expected
    assert cluster_map.cluster(6) == NOWHERE


def test_without_a_table_there_is_nothing(maps: Maps) -> None:
    cluster_map = maps()
    assert cluster_map.table(0) is None
    assert cluster_map.cluster(77) == NOWHERE


def test_extended_entries_tell_of_subclusters(maps: Maps) -> None:
    cluster_map = maps({6: PLACE | COPIED, 7: 0b1100 << 32 | 0b0011}, extended_l2=True)
    assert cluster_map.cluster(3) == Cluster(PLACE, True, 0b0011, 0b1100)
    assert cluster_map.all_subclusters == ALL_SUBCLUSTERS


@pytest.mark.parametrize("words", [{0: PLACE, 1: 1 << 32 | 1}, {0: 0, 1: 1}])
def test_extended_entries_that_contradict_themselves_are_damaged(maps: Maps, words: dict[int, int]) -> None:
    with pytest.raises(Corrupt, match=r"the entry of the cluster at 0x\d+ contradicts itself"):
        maps(words, extended_l2=True).cluster(0)


@given(
    host=st.integers(1, 1 << 40).map(lambda number: number * CLUSTER),
    in_place=st.booleans(),
    there=st.integers(0, ALL_SUBCLUSTERS),
    zero=st.integers(0, ALL_SUBCLUSTERS),
)
def test_what_is_encoded_is_decoded(maps: Maps, host: int, in_place: bool, there: int, zero: int) -> None:
    extended, standard = maps(extended_l2=True), maps()
    for cluster_map, cluster in (
        (extended, Cluster(host, in_place, there & ~zero, zero)),
        (standard, Cluster(host, in_place, 1, 0)),
        (standard, Cluster(host, in_place, 0, 1)),
    ):
        words = cluster_map.empty_table()
        assert len(words) * 8 == CLUSTER
        cluster_map.encode(words, 4, cluster)
        assert cluster_map.decode(words, 4) == cluster


@pytest.mark.parametrize("place", [0x200, CLUSTER + 512, PLACE, 3 * CLUSTER])
def test_no_data_is_across_clusters_or_where_tables_are(maps: Maps, place: int) -> None:
    with pytest.raises(
        Corrupt, match="the L2 table at 0x40000 says that data is across clusters, or where the image's"
    ):
        maps({9: place}, {0, 3, PLACE // CLUSTER}).cluster(0)


def test_data_in_a_file_of_its_own_may_be_anywhere(maps: Maps) -> None:
    cluster_map = maps({0: COPIED, 1: CLUSTER | COPIED}, data_file="data")
    assert cluster_map.cluster(0) == Cluster(0, True, 1, 0)
    assert cluster_map.cluster(1) == Cluster(CLUSTER, True, 1, 0)
    assert cluster_map.used_clusters(array("Q", [CLUSTER | COPIED])) == []


@pytest.mark.parametrize("entry", [512, 1 << 40, CLUSTER - 512])
def test_a_table_that_is_where_none_can_be_is_damaged(maps: Maps, entry: int) -> None:
    cluster_map = maps()
    cluster_map.l1[1] = entry
    with pytest.raises(Corrupt, match=f"an L2 table is at {entry:#x}; expected a multiple of 0x4000"):
        cluster_map.table(1)


def test_what_a_table_uses_is_told_once_for_each_time(maps: Maps) -> None:
    layout = Layout(14)
    far = COMPRESSED | 3 << layout.compressed_offset_bits | (5 * CLUSTER - 512)
    words = array("Q", [0, PLACE, PLACE | COPIED, ZERO, far, COMPRESSED | 7 * CLUSTER])
    assert maps().used_clusters(words) == [64, 64, 4, 5, 7]
    assert compressed_clusters(layout, far) == range(4, 6)


def test_a_place_is_a_table_and_a_word(maps: Maps) -> None:
    assert maps().place(2048 + 5) == (1, 5)
    assert maps(extended_l2=True).place(1024 + 5) == (1, 10)


def test_tables_that_were_not_changed_make_room(maps: Maps) -> None:
    cluster_map = maps()
    cluster_map._tables_max = 16
    kept = Table(cluster_map.empty_table(), PLACE)
    cluster_map.root(0, kept)
    pinned = Table(cluster_map.empty_table(), PLACE + CLUSTER)
    pinned.pinned = True
    cluster_map.put(1, pinned)
    for number in range(2, 100):
        cluster_map.put(number, Table(cluster_map.empty_table(), PLACE))
    assert len(cluster_map.tables) <= 17
    assert cluster_map.tables[0] is kept
    assert cluster_map.tables[1] is pinned
    assert cluster_map.l1[0] == PLACE | COPIED
    assert (cluster_map.dirty, cluster_map.dirty_roots) == ({0}, {0})


def test_many_changes_are_a_crowd(maps: Maps) -> None:
    cluster_map = maps()
    cluster_map._tables_max = 16
    for number in range(9):
        assert not cluster_map.crowded
        cluster_map.changed(number, Table(cluster_map.empty_table(), PLACE))
    assert cluster_map.crowded


def test_the_l1_table_must_be_where_one_can_be() -> None:
    file = RamStore(0)
    create(file, CreateOptions(64 << 20, cluster_bytes=CLUSTER))
    header = read_header(file)
    file.resize(header.l1_offset)
    with pytest.raises(Corrupt, match="the L1 table is at"):
        Map(file, header, {0})


def test_a_disk_without_bytes_has_no_table() -> None:
    file = RamStore(0)
    create(file, CreateOptions(0, cluster_bytes=CLUSTER))
    assert len(Map(file, read_header(file), {0}).l1) == 0


def test_an_offset_has_bits_9_to_55() -> None:
    assert sum(1 << bit for bit in range(9, 56)) == OFFSET
