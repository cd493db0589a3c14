"""Compares the reference counts that an image has with those that it must have."""

from array import array

from tgtcore_cow.qcow2.examination import Examination
from tgtcore_cow.qcow2.findings import Remedy
from tgtcore_cow.qcow2.stored_counts import StoredCounts


def compare_counts(image: Examination) -> int:
    """Report every count that is too low or too high.

    :returns: how many clusters of the file are in use or counted, up to the last one.
    """
    references, stored = image.references, image.stored
    end = 0
    for number in sorted(references.blocks() | set(stored.blocks)):
        counted, needed = stored.block(number), references.block(number)
        first = number << references.block_bits
        end = max(end, first + _used(counted), first + (_used(needed) if needed else 0))
        whole = len(counted) if needed is None else len(needed)
        needed = needed if needed is not None else array(counted.typecode, bytes(len(counted) * counted.itemsize))
        if counted[:whole] != needed:
            _compare_block(image, stored, number, needed)
        _count_beyond(image, first + whole, counted[whole:])
    return end


def _used(counts: "array[int]") -> int:
    """How many counts there are up to the last one that is not zero."""
    return -(-len(counts.tobytes().rstrip(b"\0")) // counts.itemsize)


def _compare_block(image: Examination, stored: StoredCounts, number: int, needed: "array[int]") -> None:
    first, bits = number << image.references.block_bits, image.header.cluster_bits
    highest = image.header.layout.refcount_max
    there = number in stored.blocks
    for place, (count, references) in enumerate(zip(stored.block(number), needed, strict=False)):
        if count == references:
            continue
        offset = (first + place) << bits
        sentence = f"cluster {first + place} at {offset:#x} has the count {count}, but {references} references"
        if count > references:
            image.findings.leak(offset, sentence)
        elif references > highest:
            image.findings.error(offset, f"{sentence}, more than counts of this image can say", Remedy.NONE)
        else:
            image.findings.error(offset, sentence, Remedy.COUNT if there else Remedy.REBUILD)


def _count_beyond(image: Examination, first: int, counts: "array[int]") -> None:
    """Counts of clusters that the file doesn't have."""
    if not any(counts):
        return
    for place, count in enumerate(counts):
        if count:
            offset = (first + place) << image.header.cluster_bits
            image.findings.leak(
                offset, f"cluster {first + place} is beyond the end of the file, but has the count {count}"
            )
