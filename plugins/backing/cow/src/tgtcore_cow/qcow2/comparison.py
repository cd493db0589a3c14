"""Compares the reference counts that an image has with those that it must have."""

from array import array

from tgtcore_cow.qcow2.examination import Examination
from tgtcore_cow.qcow2.findings import Remedy


def compare_counts(image: Examination) -> int:
    """Report every count that is too low or too high.

    :returns: how many clusters of the file are in use or counted, up to the last one.
    """
    end = 0
    used = image.references.blocks()
    for number in sorted(used | set(image.stored.blocks)):
        if number not in used and image.stored.block(number) is image.stored.zeroes:
            continue
        counted, needed = counts_of_block(image, number)
        end = max(end, (number << image.references.block_bits) + max(_used(counted), _used(needed)))
        if counted != needed:
            _compare_block(image, number, counted, needed)
    return end


def counts_of_block(image: Examination, number: int) -> "tuple[array[int], array[int]]":
    """The counts that a block has, and those that it must have: as many, but not always of the same kind of array."""
    counted = image.stored.block(number)
    needed = image.references.block(number) or array("B")
    if len(needed) < len(counted):
        needed = needed + array(needed.typecode, bytes((len(counted) - len(needed)) * needed.itemsize))
    return counted, needed


def _used(counts: "array[int]") -> int:
    """How many counts there are up to the last one that is not zero."""
    return -(-len(counts.tobytes().rstrip(b"\0")) // counts.itemsize)


def _compare_block(image: Examination, number: int, counted: "array[int]", needed: "array[int]") -> None:
    first, bits = number << image.references.block_bits, image.header.cluster_bits
    highest = image.header.layout.refcount_max
    there = number in image.stored.blocks
    for place, (count, references) in enumerate(zip(counted, needed, strict=True)):
        if count == references:
            continue
        cluster, offset = first + place, (first + place) << bits
        sentence = f"cluster {cluster} at {offset:#x} has the count {count}, but {references} references"
        if cluster >= image.references.clusters:
            image.findings.leak(offset, f"cluster {cluster} is beyond the end of the file, but has the count {count}")
        elif count > references:
            image.findings.leak(offset, sentence)
        elif references > highest:
            image.findings.error(offset, f"{sentence}, more than counts of this image can say", Remedy.NONE)
        else:
            image.findings.error(offset, sentence, Remedy.COUNT if there else Remedy.REBUILD)
