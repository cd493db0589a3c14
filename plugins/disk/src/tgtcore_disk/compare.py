"""Comparing the medium with what an initiator sent."""

from tgtcore import Buffer, CheckCondition
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey


def first_difference(one: Buffer, other: Buffer) -> int | None:
    """Offset of the first byte in which two buffers of equal length differ, or None."""
    if one == other:
        return None
    low, high = 0, len(one)
    left, right = memoryview(one), memoryview(other)
    while high - low > 1:  # the first difference lies in [low, high)
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low


def miscompare(information: int) -> CheckCondition:
    """MISCOMPARE DURING VERIFY OPERATION."""
    return CheckCondition(SenseKey.MISCOMPARE, asc.MISCOMPARE_DURING_VERIFY_OPERATION, information=information)
