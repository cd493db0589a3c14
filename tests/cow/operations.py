"""Random work on an image, with the model beside it."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cow.history import SECTOR_BYTES, History, assert_same
from hypothesis import strategies as st
from tgtcore_cow.qcow2.image import Image

from tgtcore import Features

WRITES = ("write", "write_nowait", "write_through")
CLEARS = {"unmap": Features.UNMAP, "write_zeroes": Features.WRITE_ZEROES}
_CLUSTERS_MAX = 4
_REFUSALS = (errno.ENOSPC, errno.EMLINK)


@dataclass(frozen=True)
class Spot:
    """Where something happens, for a disk and clusters of any size.

    :param cluster: the cluster in which it begins, counted round and round.
    :param within: the byte of the cluster in which it begins, counted round and round.
    :param length: in bytes, up to some clusters; counted round and round.
    :param aligned: ``byte``, ``sector`` or ``cluster``: both ends are.
    """

    cluster: int
    within: int
    length: int
    aligned: str

    def range(self, size_bytes: int, cluster_bytes: int) -> tuple[int, int]:
        """Offset and length."""
        unit = {"byte": 1, "sector": SECTOR_BYTES, "cluster": cluster_bytes}[self.aligned]
        offset = self.cluster % -(-size_bytes // cluster_bytes) * cluster_bytes + self.within % cluster_bytes
        offset = min(offset, size_bytes - 1) // unit * unit
        length = -(-(1 + self.length % (_CLUSTERS_MAX * cluster_bytes)) // unit) * unit
        return offset, min(length, size_bytes - offset)


_ALIGNED = ("sector", "cluster", "byte")

spots = st.builds(
    Spot, st.integers(0, 400), st.integers(0, 65535), st.integers(0, _CLUSTERS_MAX << 16), st.sampled_from(_ALIGNED)
)


def random_spot(chance: Random, aligned: tuple[str, ...] = _ALIGNED) -> Spot:
    """One of the same kind, without hypothesis."""
    return Spot(
        chance.randrange(400), chance.randrange(65536), chance.randrange(_CLUSTERS_MAX << 16), chance.choice(aligned)
    )


class Worker:
    """Does to an image what it does to the model.

    :param image: the one that is open now.
    :param chance: makes the data.
    """

    def __init__(self, image: Image, history: History, chance: Random) -> None:
        self.image = image
        self.history = history
        self._chance = chance

    def _range(self, spot: Spot) -> tuple[int, int]:
        return spot.range(self.image.size_bytes, 1 << self.image.header.cluster_bits)

    def write(self, spot: Spot, how: str) -> None:
        """Write new data by the method ``how``."""
        offset, length = self._range(spot)
        data = self._chance.randbytes(length)
        before = bytes(self.history.content[offset : offset + length])
        try:
            if how != "write_nowait":
                getattr(self.image, how)(offset, data)
            elif not self.image.write_nowait(offset, data):
                self.image.write(offset, data)
        except OSError as error:
            self._failed(error, offset, before, data)
        else:
            (self.history.write_through if how == "write_through" else self.history.write)(offset, data)

    def clear(self, spot: Spot, how: str) -> None:
        """Unmap or zero a range."""
        offset, length = self._range(spot)
        before = bytes(self.history.content[offset : offset + length])
        try:
            getattr(self.image, how)(offset, length)
        except OSError as error:
            self._failed(error, offset, before, bytes(length))
        else:
            self.history.clear(offset, length)

    def _failed(self, error: OSError, offset: int, before: bytes, after: bytes) -> None:
        """Something was done in part: each sector is old or new."""
        if error.errno not in _REFUSALS:
            raise error
        found = bytes(self.image.read(offset, len(after)))
        at = 0
        while at < len(found):
            end = min(at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES, len(found))
            assert found[at:end] in (before[at:end], after[at:end]), (
                f"after {error}: neither old nor new at {offset + at}"
            )
            at = end
        self.history.write(offset, found)

    def _possible(self, change: Callable[[], object]) -> bool:
        """Carry out a change; returns whether there is room for it, and the image's reference counts allow it.

        If not, nothing has changed.
        """
        try:
            change()
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            return False
        return True

    def create_snapshot(self, name: str) -> bool:
        """Create one; returns whether that was possible."""
        if not self._possible(lambda: self.image.create_snapshot(name)):
            return False
        self.history.snapshots[name] = bytes(self.history.content)
        self.history.durable()
        return True

    def revert(self, name: str) -> bool:
        """Revert to one; returns whether that was possible."""
        if not self._possible(lambda: self.image.revert_snapshot(name)):
            return False
        self.history.revert(name)
        self.history.durable()
        return True

    def delete_snapshot(self, name: str) -> bool:
        """Delete one; returns whether that was possible."""
        if not self._possible(lambda: self.image.delete_snapshot(name)):
            return False
        del self.history.snapshots[name]
        self.history.durable()
        return True

    def resize(self, size_bytes: int) -> bool:
        """Make the disk longer or shorter; returns whether that was possible."""
        if not self._possible(lambda: self.image.resize(size_bytes)):
            return False
        self.history.resize(size_bytes)
        return True

    def flush(self) -> None:
        """Everything is durable."""
        self.image.flush()
        self.history.durable()

    # ---- what must be true ------------------------------------------------------------------------------------------

    def assert_content(self) -> None:
        """Every way to read returns what was written."""
        image, content = self.image, self.history.content
        assert image.size_bytes == len(content)
        assert [one.name for one in image.snapshots] == list(self.history.snapshots)
        assert_same(image.read(0, len(content)), content, "read")
        step = max(len(content) // 7 | 1, 1 << image.header.cluster_bits >> 1)
        for at in range(0, len(content), step):
            length = min(step, len(content) - at)
            ready = image.read_nowait(at, length)
            if ready is not None:
                assert_same(ready, content[at : at + length], "read_nowait", at)

    def assert_extents(self) -> None:
        """They cover all of the disk in order, and what is not allocated is zero."""
        position, size_bytes = 0, self.image.size_bytes
        while position < size_bytes:
            found = list(self.image.extents(position, size_bytes - position))
            assert found, f"extents from {position} on: none"
            for extent in found:
                assert extent.offset == position, f"{extent}: expected at {position}"
                position += extent.length
                assert extent.length > 0, extent
                assert position <= size_bytes, extent
                if not extent.allocated:
                    zeroes = bytes(extent.length)
                    assert_same(self.history.content[extent.offset : position], zeroes, "not allocated", extent.offset)
