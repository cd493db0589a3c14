"""Internal snapshots: making, deleting, and going back to one.

A snapshot takes over the tables that the disk has at that moment, and the disk gets copies of them, by which nothing may be written
in place any more.
"""

import errno
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from tgtcore import StoreError
from tgtcore_cow.qcow2 import snapshot_table
from tgtcore_cow.qcow2.errors import printable
from tgtcore_cow.qcow2.frozen import Frozen
from tgtcore_cow.qcow2.layout import COPIED, OFFSET, SNAPSHOTS_MAX
from tgtcore_cow.qcow2.leftovers import Leftovers
from tgtcore_cow.qcow2.places import check_place, read_words
from tgtcore_cow.qcow2.snapshot_table import Snapshot
from tgtcore_cow.qcow2.switch import Switch, switching, switching_beside
from tgtcore_cow.qcow2.volume import Volume
from tgtcore_cow.qcow2.write_back import WriteBack

_NAME_BYTES_MAX = 255
_NAMES_TOLD_MAX = 20


class Snapshots:
    """The internal snapshots of an image."""

    def __init__(self, volume: Volume, write_back: WriteBack) -> None:
        self._volume = volume
        self._write_back = write_back
        self._deleting = threading.Lock()
        """Belongs to whoever deletes a snapshot."""
        self._kept: Counter[str] = Counter()
        """How often which snapshot may not be deleted, by their ids."""
        self._left: list[Leftovers] = []
        """What deleted snapshots, and disks that went back to one, have left that is still to be given back."""

    @property
    def every(self) -> tuple[Snapshot, ...]:
        """All of them, the oldest first."""
        return self._volume.snapshots

    def find(self, id_or_name: str) -> Snapshot:
        """A snapshot by its id, else by its name, as they are or as they are shown.

        :raises StoreError: there is none, or several have the name.
        """
        snapshots = self.every
        wanted = printable(id_or_name)
        found = [one for one in snapshots if printable(one.id) == wanted] or [
            one for one in snapshots if printable(one.name) == wanted
        ]
        if len(found) != 1:
            shown = [f'{printable(one.id)} ("{printable(one.name)}")' for one in found or snapshots]
            names = ", ".join(shown[:_NAMES_TOLD_MAX]) + (", ..." if len(shown) > _NAMES_TOLD_MAX else "") or "none"
            what = f'there are {len(found)} snapshots "{wanted}"' if found else f'there is no snapshot "{wanted}"'
            raise StoreError(f"{what}; expected the id or the name of one of: {names}")
        return found[0]

    # ---- the three changes ------------------------------------------------------------------------------------------

    def create(self, name: str) -> Snapshot:
        """Keep the disk as it is now.

        :raises StoreError: the name can't be, there are too many snapshots, or the image's reference counts are too small.
        """
        volume = self._volume
        with switching(volume, self._write_back) as switch:
            self._check_new(name)
            header = volume.header
            snapshot = Snapshot(
                id=self._new_id(),
                name=name,
                created_ns=time.time_ns(),
                size_bytes=header.size_bytes,
                l1_offset=header.l1_offset,
                l1_entries=header.l1_entries,
            )
            l1 = self._shared_copy(switch, volume.map.l1)
            switch.carry_out(
                l1_offset=switch.place_words(l1),
                **self._new_table(switch, (*volume.snapshots, snapshot)),
            )
        return snapshot

    def delete(self, id_or_name: str) -> None:
        """Forget a snapshot, and give back what only it has; others use the image meanwhile, but for moments.

        What can't be given back now, for want of room perhaps, is given back by :meth:`give_back` later.

        :raises StoreError: there is no such snapshot, or it is being copied.
        """
        volume = self._volume
        with self._deleting:
            snapshot = self.find(id_or_name)
            left = Leftovers(volume, snapshot.l1_offset, self._l1(snapshot), self._write_back.punch)
            step = left.next_step()
            self._check_free(snapshot)
            with switching_beside(volume, self._write_back) as switch:
                self._check_free(snapshot)
                others = tuple(one for one in volume.snapshots if one.id != snapshot.id)
                switch.carry_out(**self._new_table(switch, others), **left.drop(switch, step))
            left.dropped(step)
            self._left.append(left)
            self._give_back()

    def give_back(self) -> None:
        """Give back what is left, if that was not done at once; not while a snapshot is being deleted.

        :raises StoreError: a table is not what one can be; what it has is not given back then.
        """
        if self._left and self._deleting.acquire(blocking=False):
            try:
                self._give_back()
            finally:
                self._deleting.release()

    def _give_back(self) -> None:
        while self._left:
            left = self._left.pop()
            try:
                while not left.gone:
                    step = left.next_step()
                    with switching_beside(self._volume, self._write_back) as switch:
                        switch.carry_out(**left.drop(switch, step))
                    left.dropped(step)
                self._write_back.flush()
            except OSError:  # no room for the step, perhaps; the space is no loss yet, and there may be room later
                self._left.append(left)
                self._volume.check_writable()
                return

    def revert(self, id_or_name: str) -> None:
        """Make the disk what it was when a snapshot was made; the snapshot stays.

        What the disk had is given back by :meth:`give_back`, while others use the image again.

        :raises StoreError: there is no such snapshot.
        """
        try:
            self._left.append(self._go_back(id_or_name, lambda switch: None))
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            self._write_back.flush()
            self._go_back(id_or_name, self._drop_disk)  # nothing is counted any more that need not be

    def _go_back(self, id_or_name: str, drop: Callable[[Switch], None]) -> Leftovers:
        """Returns what the disk had.

        :param drop: lets the switch drop that, if it is to be gone at once.
        """
        volume = self._volume
        with volume.sizing, switching(volume, self._write_back) as switch:
            snapshot = self.find(id_or_name)
            kept = self._l1(snapshot)
            kept.extend([0] * (volume.layout.l1_entries(snapshot.size_bytes) - len(kept)))
            l1 = self._shared_copy(switch, kept)
            left = self._left_of_disk()
            drop(switch)
            switch.carry_out(l1_offset=switch.place_words(l1), l1_entries=len(l1), size_bytes=snapshot.size_bytes)
        return left

    def _left_of_disk(self) -> Leftovers:
        volume = self._volume
        return Leftovers(volume, volume.header.l1_offset, volume.map.l1[:], self._write_back.punch)

    def _drop_disk(self, switch: Switch) -> None:
        volume = self._volume
        for offset, words in self._tables(volume.map.l1):
            switch.drop(volume.map.used_clusters(words))
            switch.drop([offset >> volume.layout.cluster_bits])
        switch.drop_place(volume.header.l1_offset, volume.header.l1_entries * 8)

    def empty(self) -> None:
        """Let the disk have nothing itself, at one stroke: it reads as what is beneath."""
        volume = self._volume
        with self._deleting:
            with switching_beside(volume, self._write_back) as switch:
                if not volume.map.l1:
                    return
                left = self._left_of_disk()
                switch.carry_out(l1_offset=switch.place_words(array("Q", bytes(len(volume.map.l1) * 8))))
            self._left.append(left)
            self._give_back()

    @contextmanager
    def frozen(self, id_or_name: str) -> Iterator[Frozen]:
        """What a snapshot holds; it can't be deleted meanwhile.

        :raises StoreError: there is no such snapshot.
        """
        with self._volume.lock:
            snapshot = self.find(id_or_name)
            found = Frozen(self._volume, snapshot)
            self._kept[snapshot.id] += 1
        try:
            yield found
        finally:
            with self._volume.lock:
                self._kept[snapshot.id] -= 1

    # ---- their parts ------------------------------------------------------------------------------------------------

    def _check_free(self, snapshot: Snapshot) -> None:
        if self._kept[snapshot.id]:
            raise StoreError(
                f'snapshot "{printable(snapshot.name)}" is being copied; wait until that has ended, or give it up'
            )

    def _check_new(self, name: str) -> None:
        volume = self._volume
        if not name or len(name.encode("utf-8", "surrogateescape")) > _NAME_BYTES_MAX or not name.isprintable():
            raise StoreError(
                f'"{printable(name)}" can\'t name a snapshot; expected 1 to {_NAME_BYTES_MAX} bytes that can be printed'
            )
        if any(name in (one.name, one.id) for one in volume.snapshots):
            raise StoreError(f'there is a snapshot "{name}" already; expected another name')
        if len(volume.snapshots) >= SNAPSHOTS_MAX:
            raise StoreError(f"there are {SNAPSHOTS_MAX} snapshots, which is the most; delete one first")
        if volume.layout.refcount_max < 2:
            raise StoreError(
                "the image's reference counts have 1 bit, so that nothing can be shared; expected larger ones"
            )
        if volume.data_file is not None:
            raise StoreError("the image has its data in a file of its own, which can't have snapshots")

    def _new_id(self) -> str:
        """A number above all, and no other snapshot's name."""
        snapshots = self._volume.snapshots
        names = {one.name for one in snapshots}
        above = max((int(one.id) for one in snapshots if one.id.isdecimal()), default=0) + 1
        return next(str(number) for number in count(above) if str(number) not in names)

    def _tables(self, l1: "array[int]") -> Iterator[tuple[int, "array[int]"]]:
        """The L2 tables of an L1 table: place and words."""
        volume = self._volume
        loaded = {table.offset: table for table in volume.map.tables.values()}
        for entry in l1:
            if offset := entry & OFFSET:
                table = loaded.get(offset)
                yield offset, table.words if table is not None else volume.map.read_table(offset)

    def _l1(self, snapshot: Snapshot) -> "array[int]":
        volume = self._volume
        if not snapshot.l1_entries:
            return array("Q")
        check_place("a snapshot's L1 table", snapshot.l1_offset, volume.layout.cluster_bytes, volume.file)
        return read_words(volume.file, snapshot.l1_offset, snapshot.l1_entries)

    def _shared_copy(self, switch: Switch, l1: "array[int]") -> "array[int]":
        """Tables that refer to the same as others do: nothing can be written in place."""
        volume = self._volume
        copy = array("Q", bytes(len(l1) * 8))
        tables = self._tables(l1)
        for number, entry in enumerate(l1):
            if entry & OFFSET:
                _, words = next(tables)
                switch.use_again(volume.map.used_clusters(words))
                copy[number] = switch.place_table(volume.map.shared(words)) | COPIED
        return copy

    def _new_table(self, switch: Switch, snapshots: tuple[Snapshot, ...]) -> dict[str, int]:
        """What the header says of another table of snapshots; the one that there is goes."""
        volume = self._volume
        if volume.snapshots:
            switch.drop_place(volume.header.snapshots_offset, volume.snapshot_table_bytes)
        offset = switch.place(snapshot_table.encode(snapshots)) if snapshots else 0
        return {"snapshots": len(snapshots), "snapshots_offset": offset}
