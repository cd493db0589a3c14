"""Makes tables anew in another place, first of all the reference counts, and switches to them by one write of the header."""

from array import array
from dataclasses import replace

from tgtcore import Store
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.examination import Examination
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.layout import REFCOUNT_TABLE_BYTES_MAX
from tgtcore_cow.qcow2.places import SECTOR_BYTES, encoded_words, lengthen, write_part
from tgtcore_cow.qcow2.refcount_codec import TYPECODES, pack
from tgtcore_cow.qcow2.references import References


def rebuild_counts(image: Examination, end: int, snapshots: bytes = b"") -> None:
    """Write a new refcount table with its blocks, and let the header name it.

    Until the header is written nothing has changed; afterwards the former table and blocks are free.  A former snapshot table still
    has its counts.

    :param image: what it points to, without its present refcount table and blocks.
    :param end: number of the first cluster from which on the file has nothing of the image.
    :param snapshots: a new snapshot table, if there is to be one.
    :raises ImageError: the table would be larger than such a table may be.
    :raises OSError: there is no space.
    """
    header, file, references = image.header, image.file, image.references
    start = end + header.layout.clusters(len(snapshots))
    numbers, table_clusters = _places(references, header, end, start)
    table = array("Q", bytes(table_clusters << header.cluster_bits))
    stop = start + table_clusters + len(numbers)
    lengthen(file, stop << header.cluster_bits)
    if snapshots:
        write_part(file, end << header.cluster_bits, snapshots)
    for place, number in enumerate(numbers, start + table_clusters):
        table[number] = place << header.cluster_bits
        file.write(table[number], _block(references, header, number, range(end, stop)))
    file.write(start << header.cluster_bits, encoded_words(table))
    file.flush()
    header = replace(header, refcount_table_offset=start << header.cluster_bits, refcount_table_clusters=table_clusters)
    write_header(file, replace(header, snapshots_offset=end << header.cluster_bits) if snapshots else header)


def _places(references: References, header: Header, end: int, start: int) -> tuple[list[int], int]:
    """Numbers of the blocks that are needed, and how many clusters their table has.

    Clusters from ``end`` on will be used; those from ``start`` on by the table and the blocks themselves.
    """
    numbers = references.blocks()
    while True:
        table_bytes = (max(numbers, default=0) + 1) * 8
        if table_bytes > max(REFCOUNT_TABLE_BYTES_MAX, header.layout.cluster_bytes):
            raise ImageError(
                f"a new refcount table would have {table_bytes} bytes, at most {REFCOUNT_TABLE_BYTES_MAX} are possible"
            )
        table_clusters = header.layout.clusters(table_bytes)
        last = start + table_clusters + len(numbers) - 1
        # the new clusters are counted too, perhaps in blocks that are new for them
        more = numbers | set(range(end >> references.block_bits, (last >> references.block_bits) + 1))
        if more == numbers:
            return sorted(numbers), table_clusters
        numbers = more


def _block(references: References, header: Header, number: int, new: range) -> bytes:
    size, highest = header.layout.refcounts_per_block, header.layout.refcount_max
    counts = array(TYPECODES[header.refcount_order], bytes(size << max(header.refcount_order - 3, 0)))
    for place, count in enumerate(references.block(number) or ()):
        counts[place] = min(count, highest)
    first = number * size
    for cluster in range(max(first, new.start), min(first + size, new.stop)):
        counts[cluster - first] = 1
    return pack(counts, header.refcount_order)


def write_header(file: Store, header: Header) -> None:
    """Write the numbers of a header, durably, in one sector."""
    write_part(file, 0, header.written_by_us().patched(bytes(file.read(0, max(SECTOR_BYTES, file.block_bytes)))))
    file.flush()
