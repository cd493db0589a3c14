"""Checks an image: follows everything that its bytes say, and compares that with its reference counts."""

from dataclasses import dataclass

from tgtcore import Store
from tgtcore_cow.qcow2.comparison import compare_counts
from tgtcore_cow.qcow2.examination import Examination
from tgtcore_cow.qcow2.findings import Finding, Findings
from tgtcore_cow.qcow2.header import Incompatible, decode
from tgtcore_cow.qcow2.l2_walk import walk_l2_tables
from tgtcore_cow.qcow2.layout import CLUSTER_BITS_MAX
from tgtcore_cow.qcow2.places import read_padded
from tgtcore_cow.qcow2.references import References
from tgtcore_cow.qcow2.stored_counts import StoredCounts
from tgtcore_cow.qcow2.table_walk import walk_tables


@dataclass(frozen=True)
class Report:
    """What a check has found.

    :param errors: what endangers data; only the first of them.
    :param error_count: how many there are.
    :param leaks: clusters that are not used, but not free either; only the first of them.
    :param complete: whether everything that the image points to could be followed; if not, some leaks may be data.
    :param allocated_clusters: how many clusters of the disk have data of their own, or a place for it.
    :param compressed_clusters: how many of those are compressed.
    :param total_clusters: how many clusters the disk has.
    :param image_end_offset: behind the last cluster of the file that is in use or leaked, in bytes.
    :param dirty: the image says that its reference counts may be wrong, because it was not closed.
    :param corrupt: the image says that somebody has found it damaged.
    """

    errors: tuple[Finding, ...]
    error_count: int
    leaks: tuple[Finding, ...]
    leak_count: int
    complete: bool
    allocated_clusters: int
    compressed_clusters: int
    total_clusters: int
    image_end_offset: int
    dirty: bool
    corrupt: bool

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.error_count and not self.leak_count


def check(file: Store) -> Report:
    """Check an image by its bytes alone; nothing is written.

    An image that is open elsewhere is looked at as it stands in the file, so it must have been flushed.

    :param file: the image.
    :raises ImageError: it is no image, or so damaged that there is nothing to follow.
    """
    return look(file, Findings())[1]


def look(file: Store, findings: Findings) -> tuple[Examination, Report]:
    """As :func:`check`, with all that was found."""
    image = examine(file, findings)
    end = compare_counts(image)
    header = image.header
    return image, Report(
        errors=tuple(findings.errors),
        error_count=findings.error_count,
        leaks=tuple(findings.leaks),
        leak_count=findings.leak_count,
        complete=findings.complete,
        allocated_clusters=image.allocated_clusters,
        compressed_clusters=image.compressed_clusters,
        total_clusters=header.layout.clusters(header.size_bytes),
        image_end_offset=end << header.cluster_bits,
        dirty=bool(header.incompatible & Incompatible.DIRTY),
        corrupt=bool(header.incompatible & Incompatible.CORRUPT),
    )


def examine(file: Store, findings: Findings, *, counts: bool = True) -> Examination:
    """Follow everything that an image points to.

    :param counts: whether its reference counts are looked at; if not, all count as zero, and as if they had no place in the file.
    :raises ImageError: there is nothing to follow.
    """
    header = decode(bytes(read_padded(file, 0, min(file.size_bytes, 1 << CLUSTER_BITS_MAX))))
    sizes = header.layout
    references = References(sizes.clusters(file.size_bytes), sizes)
    stored = StoredCounts(file, header, references, findings)
    if counts:
        stored.read_table(header)
    image = Examination(file, header, findings, references, stored)
    walk_tables(image)
    walk_l2_tables(image)
    return image
