import pytest
from tgtcore_cow.qcow2.layout import CLUSTER_BITS_MAX, CLUSTER_BITS_MIN, Layout


@pytest.mark.parametrize(
    ("layout", "subcluster", "words", "entries", "mapped", "count_max", "counts"),
    [
        (Layout(9), 512, 1, 64, 32768, 65535, 256),
        (Layout(16), 65536, 1, 8192, 512 << 20, 65535, 32768),
        (Layout(16, 0), 65536, 1, 8192, 512 << 20, 1, 524288),
        (Layout(16, 6), 65536, 1, 8192, 512 << 20, (1 << 64) - 1, 8192),
        (Layout(14, 4, extended_l2=True), 512, 2, 1024, 16 << 20, 65535, 8192),
        (Layout(21, 3, extended_l2=True), 65536, 2, 131072, 256 << 30, 255, 2 << 20),
    ],
)
def test_the_sizes_of_the_specification(
    layout: Layout, subcluster: int, words: int, entries: int, mapped: int, count_max: int, counts: int
) -> None:
    assert layout.subcluster_bytes == subcluster
    assert layout.words_per_entry == words
    assert layout.l2_entries == entries
    assert layout.bytes_per_l2 == mapped
    assert layout.refcount_max == count_max
    assert layout.refcounts_per_block == counts
    assert layout.l2_entries * words * 8 == layout.cluster_bytes


@pytest.mark.parametrize(("length", "clusters"), [(0, 0), (1, 1), (65536, 1), (65537, 2)])
def test_a_part_of_a_cluster_takes_a_cluster(length: int, clusters: int) -> None:
    assert Layout(16).clusters(length) == clusters


@pytest.mark.parametrize(("size", "entries"), [(0, 0), (1, 1), (512 << 20, 1), ((512 << 20) + 1, 2)])
def test_a_part_of_a_table_takes_a_table(size: int, entries: int) -> None:
    assert Layout(16).l1_entries(size) == entries


@pytest.mark.parametrize("cluster_bits", range(CLUSTER_BITS_MIN, CLUSTER_BITS_MAX + 1))
def test_a_compressed_place_has_as_many_bits_as_the_cluster_size_says(cluster_bits: int) -> None:
    layout = Layout(cluster_bits)
    bits = layout.compressed_offset_bits
    assert bits == 62 - (cluster_bits - 8)
    most = (1 << (cluster_bits - 8)) - 1
    assert layout.compressed_place(most << bits | 1000) == (1000, (most + 1) * 512 - 1000 % 512)
    assert layout.compressed_place((1 << bits) - 1) == ((1 << bits) - 1, 1)
