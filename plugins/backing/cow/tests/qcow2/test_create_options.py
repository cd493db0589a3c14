from typing import Any

import pytest
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.errors import ImageError

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"version": 4}, "version 4 of the format can't be made; expected 2 or 3"),
        ({"size_bytes": 1000}, "a disk can't have 1000 bytes; expected a multiple of 512"),
        ({"size_bytes": -512}, "a disk can't have -512 bytes"),
        ({"cluster_bytes": 256}, "clusters can't have 256 bytes; expected a power of two from 512 to 2097152"),
        ({"cluster_bytes": 4 * MIB}, "clusters can't have 4194304 bytes"),
        ({"cluster_bytes": 3000}, "clusters can't have 3000 bytes"),
        ({"refcount_bits": 0}, "can't have 0 bits; expected a power of two from 1 to 64"),
        ({"refcount_bits": 3}, "can't have 3 bits"),
        ({"refcount_bits": 128}, "can't have 128 bits"),
        ({"compression": "lz4"}, "compression 'lz4' is not known; expected zlib or zstd"),
        ({"version": 2, "refcount_bits": 8}, "version 2 of the format has no reference counts of 8 bits, only of 16"),
        (
            {"version": 2, "lazy_refcounts": True},
            "version 2 of the format has no lazy reference counts; expected version 3",
        ),
        ({"version": 2, "extended_l2": True}, "version 2 of the format has no extended L2 entries"),
        ({"version": 2, "compression": "zstd"}, "version 2 of the format has no compression zstd, only zlib"),
        ({"version": 2, "data_file": "data"}, "version 2 of the format has no external data file"),
        ({"version": 2, "feature_names": True}, "version 2 of the format has no names of features"),
        (
            {"extended_l2": True, "cluster_bytes": 8192},
            "8192 bytes are too small for extended L2 entries; expected at least 16384",
        ),
        ({"data_file_raw": True}, "only an external data file can be raw"),
        (
            {"data_file_raw": True, "data_file": "data", "backing_file": "x", "backing_format": "raw"},
            "can't be a backing file",
        ),
        ({"backing_format": "raw"}, "a format of the backing file is given; expected its name too"),
        ({"backing_file": "x"}, "the format of the backing file is ''; expected raw or qcow2"),
        ({"backing_file": "x", "backing_format": "vmdk"}, "the format of the backing file is 'vmdk'"),
        ({"data_file": "a\0b"}, "a file's name can't contain a NUL character"),
        (
            {"size_bytes": TIB, "cluster_bytes": 512},
            f"too large for clusters of 512 bytes; expected at most {128 * GIB} bytes",
        ),
        ({"size_bytes": 1 << 62, "cluster_bytes": 2 * MIB}, f"expected at most {1 << 61} bytes, or larger clusters"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        CreateOptions(**{"size_bytes": MIB, **keys}).check()


@pytest.mark.parametrize(
    ("cluster_bytes", "size_bytes", "keys"),
    [
        (512, 128 * GIB, {}),
        (2 * MIB, 1 << 61, {}),
        (2 * MIB, 1 << 60, {"extended_l2": True}),
        (64 * KIB, 0, {"version": 2}),
    ],
)
def test_the_largest_disks_and_the_smallest_can_be(cluster_bytes: int, size_bytes: int, keys: dict[str, Any]) -> None:
    options = CreateOptions(size_bytes, cluster_bytes=cluster_bytes, **keys)
    options.check()
    with pytest.raises(ImageError, match="too large"):
        CreateOptions(max(size_bytes, 1 << 61) + 512, cluster_bytes=cluster_bytes, **keys).check()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, True),
        ({"cluster_bytes": 4096}, False),
        ({"version": 2}, False),
        ({"feature_names": False}, False),
        ({"cluster_bytes": 1024, "feature_names": True}, True),
    ],
)
def test_features_are_named_where_there_is_room(keys: dict[str, Any], expected: bool) -> None:
    assert CreateOptions(MIB, **keys).names_features is expected
