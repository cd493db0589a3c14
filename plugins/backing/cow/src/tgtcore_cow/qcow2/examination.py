"""What one look at an image needs and finds, and what every part of the look does: claim clusters of the file for tables."""

from dataclasses import dataclass

from tgtcore import Store
from tgtcore_cow.qcow2.findings import Findings, Remedy
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.layout import COPIED
from tgtcore_cow.qcow2.references import REFCOUNTS, References, Role, named
from tgtcore_cow.qcow2.stored_counts import StoredCounts


@dataclass
class Examination:
    """A look at an image, under way or done.

    :param file: the image's bytes, of which nothing is kept.
    :param references: what its tables point to.
    :param stored: its reference counts as they stand in the file.
    """

    file: Store
    header: Header
    findings: Findings
    references: References
    stored: StoredCounts
    allocated_clusters: int = 0
    compressed_clusters: int = 0

    def claim(self, what: str, offset: int, length: int, role: Role, remedy: Remedy = Remedy.NONE) -> bool:
        """Count the clusters of a table, unless it can't be there.

        :param what: the table's name in sentences.
        :param length: in bytes.
        :param remedy: what helps if the table can't be where it is said to be.
        :returns: whether it can be there.
        """
        if not length:
            return True
        sizes, findings = self.header.layout, self.findings
        first, count = offset >> sizes.cluster_bits, sizes.clusters(length)
        if offset % sizes.cluster_bytes or first + count > self.references.clusters:
            findings.error(
                offset,
                f"{what} has {length} bytes at {offset:#x}, expected a multiple of {sizes.cluster_bytes:#x} and an end within "
                f"the file of {self.file.size_bytes:#x}",
                remedy,
                lost=True,
            )
            return False
        before = self.references.mark(first, count, role)
        self.references.add_range(first, count)
        if before:
            remedy = remedy_of_overlap(before, remedy)
            findings.error(offset, f"{what} at {offset:#x} lies in {named(before)}", remedy, lost=remedy is Remedy.NONE)
        return not before or remedy is not Remedy.NONE


def remedy_of_overlap(other: int, own: Remedy) -> Remedy:
    """What helps when something lies in clusters of these roles: what can be made anew, or given up, goes out of its way.

    :param own: what helps if the others must stay.
    """
    if own is not Remedy.BITMAPS and not other & ~Role.BITMAPS:
        return Remedy.BITMAPS
    if own is not Remedy.BITMAPS and not other & ~(Role.BITMAPS | REFCOUNTS):
        return Remedy.REBUILD
    return own


def mark_sentence(what: str, cluster: int, entry: int, count: int) -> str:
    """What is wrong with the COPIED bit of an entry."""
    marked = "marked as used once" if entry & COPIED else "not marked as used once"
    return f"{what} is {marked}, but cluster {cluster} has the count {count}"


def word(value: int) -> bytes:
    """An entry of a table as bytes."""
    return value.to_bytes(8, "big")
