"""A qcow2 image as a store: its bytes are those of the disk."""

import errno
from contextlib import AbstractContextManager

from tgtcore import Buffer, Concurrency, Extent, Features, SnapshotInfo, Space, Store
from tgtcore_cow.qcow2 import bitmaps
from tgtcore_cow.qcow2 import header as headers
from tgtcore_cow.qcow2.clearing import Clearing
from tgtcore_cow.qcow2.errors import Corrupt, ImageError, printable
from tgtcore_cow.qcow2.frozen import Frozen
from tgtcore_cow.qcow2.header import Header, Incompatible
from tgtcore_cow.qcow2.layout import CLUSTER_BITS_MAX
from tgtcore_cow.qcow2.lost import LostReading, LostSnapshots
from tgtcore_cow.qcow2.places import SECTOR_BYTES
from tgtcore_cow.qcow2.reading import Reading
from tgtcore_cow.qcow2.sizing import Sizing
from tgtcore_cow.qcow2.snapshot_table import Snapshot
from tgtcore_cow.qcow2.snapshots import Snapshots
from tgtcore_cow.qcow2.volume import Volume
from tgtcore_cow.qcow2.write_back import WriteBack
from tgtcore_cow.qcow2.writing import Writing


class Image(Store):
    """A qcow2 image, version 2 or 3.

    After :meth:`flush` the image on the disk is complete; after a crash it holds everything that was flushed, and at worst has lost
    space that a check gives back.

    :param file: the bytes of the image.  It stays the caller's to close, like the others; to be written it must offer WRITE, and
        RESIZE if it is to grow.
    :param backing: what is read where the image has nothing; needed if the header names one.
    :param data_file: where the data is; needed if the header says that it has a file of its own.
    :param read_only: never write, not even when the image says that it was not closed properly.
    :raises ImageError: it is no such image, is damaged, or needs what is not supported; the message says what.
    """

    __slots__ = (
        "_clearing",
        "_features",
        "_read_only",
        "_reading",
        "_sizing",
        "_snapshots",
        "_volume",
        "_write_back",
        "_writing",
        "preferred_bytes",
    )

    concurrency = Concurrency.PARALLEL
    persistent = True
    block_bytes = SECTOR_BYTES

    def __init__(
        self,
        file: Store,
        *,
        backing: Store | None = None,
        data_file: Store | None = None,
        read_only: bool = False,
    ) -> None:
        self._read_only = read_only or Features.WRITE not in file.features()
        volume = _opened(file, backing, data_file, read_only=self._read_only)
        self._features = _features(volume, read_only=self._read_only)
        self.preferred_bytes = volume.layout.subcluster_bytes
        self._begin(volume)

    def _begin(self, volume: Volume) -> None:
        self._volume = volume
        self._write_back = WriteBack(volume)
        self._reading = Reading(volume)
        self._writing = Writing(volume, self._reading, self._write_back.flush)
        self._clearing = Clearing(volume, self._reading, self._writing, self._write_back.flush)
        self._sizing = Sizing(volume, self._write_back, self._clearing)
        self._snapshots = Snapshots(volume, self._write_back)

    # ---- when its file holds something else -------------------------------------------------------------------------

    def begin_again(self, *, backing: Store | None = None, data_file: Store | None = None) -> None:
        """Open what the file holds now; what is in memory of the image, written back or not, is forgotten.

        Nobody uses the image meanwhile.

        :raises ImageError: there is no image that can stand in for the one before.
        """
        volume = _opened(self._volume.file, backing, data_file, read_only=self._read_only)
        if (
            _features(volume, read_only=self._read_only) != self._features
            or volume.layout.subcluster_bytes != self.preferred_bytes
        ):
            raise ImageError("there is an image of another kind now: open it anew")
        self._volume.gone = True
        self._begin(volume)

    def lose(self, why: str) -> None:
        """Forget what is in memory, and let everything fail from now on, until it begins again."""
        volume = self._volume
        volume.gone, volume.failure = True, why
        self._reading = LostReading(volume, why)
        self._snapshots = LostSnapshots(volume, self._write_back, why)

    # ---- the disk ---------------------------------------------------------------------------------------------------

    @property
    def header(self) -> Header:
        """What the image says of itself now."""
        return self._volume.header

    @property
    def size_bytes(self) -> int:  # type: ignore[override]
        """Size of the disk now: whole sectors, as QEMU has it, whatever the header says."""
        return _whole_sectors(self._volume.header.size_bytes)

    def features(self) -> Features:
        """What the image and the file that it is in can do."""
        return self._features

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract."""
        return self._reading.read(offset, length)

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """As in the contract."""
        return self._reading.read_nowait(offset, length)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """As in the contract."""
        self._check_writable()
        return self._writing.write_nowait(offset, data)

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract."""
        self._check_writable()
        self._writing.write(offset, data)

    def write_through(self, offset: int, data: Buffer) -> None:
        """As in the contract."""
        self._check_writable()
        self._writing.write_through(offset, data)

    def unmap(self, offset: int, length: int) -> None:
        """As in the contract."""
        self._check_writable()
        self._clearing.unmap(offset, length)

    def write_zeroes(self, offset: int, length: int) -> None:
        """As in the contract."""
        self._check_writable()
        self._clearing.write_zeroes(offset, length)

    def extents(self, offset: int, length: int) -> list[Extent]:
        """As in the contract."""
        return self._reading.extents(offset, length)

    def space(self) -> Space:
        """That of the file with the data."""
        return self._volume.data.space()

    def resize(self, size_bytes: int) -> None:
        """As in the contract.

        :raises StoreError: the image can't have that size.
        """
        self._check_writable()
        self._sizing.resize(size_bytes)

    def flush(self) -> None:
        """As in the contract."""
        if self._read_only:
            self._volume.sync()
        else:
            self._write_back.flush()
            self._snapshots.give_back()

    def close(self) -> None:
        """Flush, and let go of the image; its files stay open."""
        if not self._read_only and not self._volume.failure:
            self.flush()

    def _check_writable(self) -> None:
        if self._read_only:
            raise OSError(errno.EROFS, "the image is open for reading only")

    # ---- snapshots --------------------------------------------------------------------------------------------------

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The internal snapshots, the oldest first."""
        return self._snapshots.every

    def list_snapshots(self) -> list[SnapshotInfo]:
        """As in the contract."""
        return [_info(snapshot) for snapshot in self.snapshots]

    def create_snapshot(self, name: str) -> SnapshotInfo:
        """As in the contract."""
        self._check_writable()
        return _info(self._snapshots.create(name))

    def delete_snapshot(self, id_or_name: str) -> None:
        """As in the contract; what only that snapshot has is given back."""
        self._check_writable()
        self._snapshots.delete(id_or_name)

    def revert_snapshot(self, id_or_name: str) -> None:
        """As in the contract."""
        self._check_writable()
        self._snapshots.revert(id_or_name)

    # ---- what it stands on ------------------------------------------------------------------------------------------

    @property
    def volume(self) -> Volume:
        """What its parts share."""
        return self._volume

    @property
    def reading(self) -> Reading:
        """What reads its disk."""
        return self._reading

    def empty(self) -> None:
        """Let the image have nothing itself, at one stroke and durably: its disk reads as what is beneath."""
        self._check_writable()
        self._snapshots.empty()

    def frozen(self, id_or_name: str) -> AbstractContextManager[Frozen]:
        """What a snapshot holds; it can't be deleted meanwhile.

        :raises StoreError: there is no such snapshot.
        """
        return self._snapshots.frozen(id_or_name)


def _opened(file: Store, backing: Store | None, data_file: Store | None, *, read_only: bool) -> Volume:
    header = read_header(file)
    _check_parts(header, backing, data_file)
    if not read_only:
        _check_sound(header)
        header = _taken_over(file, header)
    return Volume(file, header, backing, data_file)


def _features(volume: Volume, *, read_only: bool) -> Features:
    found = Features.EXTENTS
    if read_only:
        return found
    found |= Features.WRITE | Features.WRITE_THROUGH | Features.RESIZE | Features.SNAPSHOTS
    if volume.header.version > 2:
        found |= Features.UNMAP | Features.WRITE_ZEROES
    elif volume.backing is None:
        found |= Features.UNMAP
    return found | volume.data.features() & Features.SPACE


def _info(snapshot: Snapshot) -> SnapshotInfo:
    shown = printable(snapshot.id), printable(snapshot.name)
    return SnapshotInfo(*shown, snapshot.created_ns, _whole_sectors(snapshot.size_bytes))


def _whole_sectors(size_bytes: int) -> int:
    return size_bytes // SECTOR_BYTES * SECTOR_BYTES


def read_header(file: Store) -> Header:
    """The header of an image.

    :raises ImageError: it is no header, or the image needs what is not supported.
    """
    if not file.size_bytes:
        raise ImageError("this is no qcow2 image: it is empty")
    return headers.decode(bytes(file.read(0, min(file.size_bytes, 1 << CLUSTER_BITS_MAX))))


def _taken_over(file: Store, header: Header) -> Header:
    """Withdraw what the image says of itself and what our writes would make wrong; returns the header that it has then."""
    ours = header.written_by_us()
    if bitmaps.give_up(file, header) or ours != header:
        file.write(0, ours.patched(bytes(file.read(0, SECTOR_BYTES))))
        file.flush()
    return ours


def _check_parts(header: Header, backing: Store | None, data_file: Store | None) -> None:
    if header.backing_file and backing is None:
        raise ImageError(f'the image stands on "{printable(header.backing_file)}", which was not opened')
    if header.has_data_file != (data_file is not None):
        raise ImageError(
            f'the image has its data in "{printable(header.data_file)}", which was not opened'
            if header.has_data_file
            else "the image has its data in itself, not in another file"
        )


def _check_sound(header: Header) -> None:
    if header.incompatible & Incompatible.CORRUPT:
        raise Corrupt("the image is marked as corrupt; check and repair it, or open it for reading only")
    if header.incompatible & Incompatible.DIRTY:
        raise Corrupt(
            "the image was not closed properly by who had it before; check and repair it, or open it for reading only"
        )
