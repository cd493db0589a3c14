"""Making the disk of an image longer or shorter."""

import logging
from array import array

from tgtcore import StoreError
from tgtcore_cow.qcow2.clearing import Clearing
from tgtcore_cow.qcow2.layout import L1_BYTES_MAX
from tgtcore_cow.qcow2.places import SECTOR_BYTES
from tgtcore_cow.qcow2.switch import switching_beside
from tgtcore_cow.qcow2.volume import Volume
from tgtcore_cow.qcow2.write_back import WriteBack

_log = logging.getLogger(__name__)

_SIZE_BYTES_MAX = (1 << 63) - 512


class Sizing:
    """Changes the size of the disk; snapshots keep theirs."""

    def __init__(self, volume: Volume, write_back: WriteBack, clearing: Clearing) -> None:
        self._volume = volume
        self._write_back = write_back
        self._clearing = clearing

    def resize(self, size_bytes: int) -> None:
        """Give the disk another size; what is new reads as zeroes, whatever is beneath.

        :raises StoreError: it can't have that size.
        """
        self._check(size_bytes)
        with self._volume.sizing:
            old = self._volume.header.size_bytes
            if size_bytes > old:
                self._make_room(size_bytes)
                self._clear_behind(old, size_bytes)
            if size_bytes != old:
                with switching_beside(self._volume, self._write_back) as switch:
                    switch.carry_out(size_bytes=size_bytes)
            if size_bytes < old:
                self._give_back(size_bytes, old)

    def _give_back(self, size_bytes: int, old: int) -> None:
        """Forget what the disk has lost: not before, for a disk that can't be made shorter loses nothing."""
        cluster = self._volume.layout.cluster_bytes
        whole, end = (-(-offset // cluster) * cluster for offset in (size_bytes, old))
        try:
            self._clearing.drop(whole, end - whole)
            # This may take a place; the others have just given some back.
            self._clearing.drop(size_bytes, whole - size_bytes)
        except (OSError, StoreError) as error:
            _log.warning("the disk of an image is shorter, but its file keeps some of what was cut off: %s", error)

    def _check(self, size_bytes: int) -> None:
        most = min(_SIZE_BYTES_MAX, L1_BYTES_MAX // 8 * self._volume.layout.bytes_per_l2)
        if not 0 <= size_bytes <= most or size_bytes % SECTOR_BYTES:
            raise StoreError(
                f"the disk can't have {size_bytes} bytes; expected a multiple of {SECTOR_BYTES}, and at most {most} with "
                "clusters of this size"
            )

    def _clear_behind(self, old: int, size_bytes: int) -> None:
        """Let what comes behind the end read as zeroes: beneath there may be more, and so may be in the map.

        Others may leave something there when they make a disk shorter, and so does a write that was under way when we did.
        """
        volume = self._volume
        with volume.lock:
            tables = max((number + 1 for number, entry in enumerate(volume.map.l1) if entry), default=0)
        beneath = volume.backing.size_bytes if volume.backing is not None else 0
        end = min(size_bytes, max(tables * volume.layout.bytes_per_l2, beneath))
        if end > old:
            self._clearing.unmap(old, end - old)

    def _make_room(self, size_bytes: int) -> None:
        """An L1 table that is long enough."""
        volume = self._volume
        entries = volume.layout.l1_entries(size_bytes)
        if entries <= volume.header.l1_entries:
            return
        with switching_beside(volume, self._write_back) as switch:
            l1 = volume.map.l1[:]
            l1.extend(array("Q", [0]) * (entries - len(l1)))
            if volume.header.l1_entries:
                switch.drop_place(volume.header.l1_offset, volume.header.l1_entries * 8)
            switch.carry_out(l1_offset=switch.place_words(l1), l1_entries=entries)
