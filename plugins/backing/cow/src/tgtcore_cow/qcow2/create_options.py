"""What a new qcow2 image shall be, and what can't be."""

from collections.abc import Callable
from dataclasses import dataclass

from tgtcore_cow.qcow2 import layout
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import COMPRESSIONS
from tgtcore_cow.qcow2.layout import Layout

SECTOR_BYTES = 512
BACKING_FORMATS = ("raw", "qcow2")
_NAMES_NEED_CLUSTERS_ABOVE = 4096
"""In smaller ones the names of features would take the place of the backing file's name; QEMU draws the same line."""


@dataclass(frozen=True)
class CreateOptions:
    """What a new image shall be.

    :param size_bytes: size of the disk, a multiple of 512.
    :param version: 3, or 2 for programs from before 2012.
    :param cluster_bytes: the unit of allocation, a power of two from 512 to 2 MiB.
    :param refcount_bits: width of reference counts, a power of two from 1 to 64; how often snapshots can share a cluster.
    :param extended_l2: allocate by the 32nd part of a cluster: small writes over a backing file copy less.
    :param compression: how compressed clusters will be, ``zlib`` or ``zstd``.
    :param lazy_refcounts: programs may leave reference counts behind while they write, and correct them after a crash.
    :param backing_file: name of the image that the disk begins with, as the header shall have it; empty for none.
    :param backing_format: its format, ``raw`` or ``qcow2``.
    :param data_file: name of the file that has the disk's bytes, as the header shall have it; empty: they are in the image.
    :param data_file_raw: that file is a raw image of the disk at any time.
    :param feature_names: tell programs that don't know a feature its name; None: where clusters are above 4 KiB.
    """

    size_bytes: int
    version: int = 3
    cluster_bytes: int = 65536
    refcount_bits: int = 16
    extended_l2: bool = False
    compression: str = "zlib"
    lazy_refcounts: bool = False
    backing_file: str = ""
    backing_format: str = ""
    data_file: str = ""
    data_file_raw: bool = False
    feature_names: bool | None = None

    @property
    def names_features(self) -> bool:
        """Whether the header has a table of the names of features."""
        if self.feature_names is None:
            return self.version >= 3 and self.cluster_bytes > _NAMES_NEED_CLUSTERS_ABOVE
        return self.feature_names

    @property
    def layout(self) -> Layout:
        """The sizes that follow."""
        return Layout(self.cluster_bytes.bit_length() - 1, self.refcount_bits.bit_length() - 1, self.extended_l2)

    def check(self) -> None:
        """Return if there can be such an image.

        :raises ImageError: no; the message says why.
        """
        for wrong, message in _IMPOSSIBLE:
            if wrong(self):
                raise ImageError(message.format(self))
        l1_bytes = self.layout.l1_entries(self.size_bytes) * 8
        if l1_bytes > layout.L1_BYTES_MAX:
            most = layout.L1_BYTES_MAX // 8 * self.layout.bytes_per_l2
            raise ImageError(
                f"a disk of {self.size_bytes} bytes is too large for clusters of {self.cluster_bytes} bytes; expected at most "
                f"{most} bytes, or larger clusters"
            )


def _no_power_of_two(value: int, least: int, most: int) -> bool:
    return not least <= value <= most or bool(value & (value - 1))


def _only_in_version_3(used: Callable[[CreateOptions], bool], what: str) -> tuple[Callable[[CreateOptions], bool], str]:
    return (
        lambda options: options.version < 3 and used(options),
        f"version 2 of the format has no {what}; expected version 3",
    )


_IMPOSSIBLE: tuple[tuple[Callable[[CreateOptions], bool], str], ...] = (
    (
        lambda options: options.version not in (2, 3),
        "version {0.version} of the format can't be made; expected 2 or 3",
    ),
    (
        lambda options: options.size_bytes < 0 or options.size_bytes % SECTOR_BYTES != 0,
        f"a disk can't have {{0.size_bytes}} bytes; expected a multiple of {SECTOR_BYTES}",
    ),
    (
        lambda options: _no_power_of_two(
            options.cluster_bytes, 1 << layout.CLUSTER_BITS_MIN, 1 << layout.CLUSTER_BITS_MAX
        ),
        "clusters can't have {0.cluster_bytes} bytes; expected a power of two from "
        f"{1 << layout.CLUSTER_BITS_MIN} to {1 << layout.CLUSTER_BITS_MAX}",
    ),
    (
        lambda options: _no_power_of_two(options.refcount_bits, 1, 1 << layout.REFCOUNT_ORDER_MAX),
        "reference counts can't have {0.refcount_bits} bits; expected a power of two from 1 to 64",
    ),
    (
        lambda options: options.compression not in COMPRESSIONS,
        f"compression {{0.compression!r}} is not known; expected {' or '.join(COMPRESSIONS)}",
    ),
    _only_in_version_3(
        lambda options: options.refcount_bits != 16, "reference counts of {0.refcount_bits} bits, only of 16"
    ),
    _only_in_version_3(lambda options: options.lazy_refcounts, "lazy reference counts"),
    _only_in_version_3(lambda options: options.extended_l2, "extended L2 entries"),
    _only_in_version_3(
        lambda options: options.compression != COMPRESSIONS[0], "compression {0.compression}, only zlib"
    ),
    _only_in_version_3(lambda options: bool(options.data_file), "external data file"),
    _only_in_version_3(lambda options: bool(options.feature_names), "names of features"),
    (
        lambda options: options.extended_l2 and options.cluster_bytes < 1 << layout.EXTENDED_CLUSTER_BITS_MIN,
        "clusters of {0.cluster_bytes} bytes are too small for extended L2 entries; expected at least "
        f"{1 << layout.EXTENDED_CLUSTER_BITS_MIN}",
    ),
    (
        lambda options: options.data_file_raw and not options.data_file,
        "only an external data file can be raw; expected its name",
    ),
    (
        lambda options: options.data_file_raw and bool(options.backing_file),
        "a raw external data file shows all of the disk, so that there can't be a backing file",
    ),
    (
        lambda options: bool(options.backing_format) and not options.backing_file,
        "a format of the backing file is given; expected its name too",
    ),
    (
        lambda options: bool(options.backing_file) and options.backing_format not in BACKING_FORMATS,
        f"the format of the backing file is {{0.backing_format!r}}; expected {' or '.join(BACKING_FORMATS)}",
    ),
    (
        lambda options: "\0" in options.backing_file + options.data_file,
        "a file's name can't contain a NUL character",
    ),
)
"""What can't be, and the message that says so."""
