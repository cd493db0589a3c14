"""What a store author writes.

A store speaks storage: byte offsets, byte strings and ``OSError``; it never hears of SCSI.  ``read`` and ``size_bytes`` are all
that must be there.  Everything else is optional, and **what a class does not define is not advertised** to initiators:

========================  =========================================================================================
method                    if it is missing
========================  =========================================================================================
``write`` and ``flush``   the medium is write-protected; one without the other is refused when the class is made
``write_through``         forced unit access becomes ``write`` followed by ``flush``
``unmap``                 the logical unit is not thin: UNMAP is refused and not advertised
``write_zeroes``          the core writes zeroes
``extents``               everything counts as allocated
``resize``                the size is fixed
``space``                 initiators hear nothing of space that runs out
``list_snapshots`` ...    it keeps no snapshots; all four of them are there or none
``base_changed``          no snapshot beneath can be gone back to, and no power cut beneath be played
``stand_on``              a filter is made anew, and forgets what it knows, when one comes or goes beneath it
``stand_aside``           a filter does its work until it is gone, also to what is flushed because it goes
``clone_snapshot``        snapshots can't be copied into files of their own
``read_nowait`` ...       the core calls the blocking form on a worker thread
``region``                data is copied through the daemon
========================  =========================================================================================

Blocking methods are called on worker threads: one at a time when ``concurrency`` is SERIAL, several at once when it is PARALLEL.
The ``*_nowait`` methods and ``region`` are called on the loop's thread, also while blocking methods run, and must never block.

The core checks ranges: they lie within ``size_bytes``, are never empty and are aligned to ``block_bytes``.  Test a store with
:class:`tgtcore.testing.store.StoreConformance`, a format or filter with :class:`tgtcore.testing.layer.LayerConformance`.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from enum import Enum, Flag, auto
from pathlib import Path
from typing import ClassVar, NamedTuple

from pydantic import BaseModel

from tgtcore.actions import Operable
from tgtcore.options import NoOptions
from tgtcore.store.region import Region

Buffer = bytes | bytearray | memoryview
"""Contiguous bytes.  A buffer handed to a store is only valid until the method returns."""


class Features(Flag):
    """What a store can do natively; see :meth:`Store.features`."""

    NONE = 0
    WRITE = auto()
    WRITE_THROUGH = auto()
    UNMAP = auto()
    WRITE_ZEROES = auto()
    EXTENTS = auto()
    RESIZE = auto()
    SNAPSHOTS = auto()
    SPACE = auto()


class Concurrency(Enum):
    """How many blocking calls the core may have under way in one store; the strictest in a stack wins."""

    SERIAL = "one at a time"
    PARALLEL = "several at once"


class Extent(NamedTuple):
    """A range of a store and whether space is allocated for it; a range that is not allocated reads as zeroes."""

    offset: int
    length: int
    allocated: bool


class Space(NamedTuple):
    """What a medium takes of the place that it is in, and what is left there.

    :param used_bytes: what it takes now.
    :param available_bytes: what it may still take, however large the medium is.
    :param shared: whether others may take what is available.
    """

    used_bytes: int
    available_bytes: int
    shared: bool


class SnapshotInfo(NamedTuple):
    """A snapshot that a store keeps.

    :param id: what the store calls it; no two have the same.
    :param name: what its maker calls it.
    :param created_ns: when it was made, in nanoseconds since 1970 (UTC).
    :param size_bytes: size of the medium at that time.
    """

    id: str
    name: str
    created_ns: int
    size_bytes: int


class Store(Operable, ABC):
    """A byte-addressed medium.

    A registered class is made as ``cls(options)`` on a worker thread, where ``options`` is an instance of its ``Options`` model,
    filled from the configuration; whatever can fail (opening, locking, creating) happens there and raises ``OSError`` or
    :class:`~tgtcore.errors.StoreError` with a message that names the file.
    """

    __slots__ = ()

    Options: ClassVar[type[BaseModel]] = NoOptions
    """The configuration keys of this store, checked before the store is made."""

    concurrency: Concurrency = Concurrency.SERIAL
    """How many blocking calls may be under way; SERIAL is always safe."""

    size_bytes: int
    """Size of the medium now; only ``resize`` and ``revert_snapshot`` change it."""

    block_bytes: int = 1
    """Offsets and lengths of all calls are multiples of this; a power of two."""

    preferred_bytes: int = 4096
    """Calls aligned to this are cheapest: the physical block of a device, the cluster of a format.  A power of two."""

    rotational: bool = False
    """Whether seeks cost: shown to initiators as a spinning disk."""

    path: Path | None = None
    """The file or device that holds the medium as it is, byte by byte, if there is one: a format whose images refer to other files
    looks for them beside it."""

    persistent: bool = False
    """Whether everything that was flushed is there when the store is opened again.  A store without that promise can't be reloaded
    while a logical unit writes to it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if (cls.write is Store.write) != (cls.flush is Store.flush):
            raise TypeError(
                f"{cls.__name__} defines one of write() and flush() without the other; a store that takes writes must say "
                "how they become durable, even if the answer is to do nothing"
            )
        missing = [name for name in _SNAPSHOTS if getattr(cls, name) is getattr(Store, name)]
        if 0 < len(missing) < len(_SNAPSHOTS):
            raise TypeError(
                f"{cls.__name__} defines some of {', '.join(_SNAPSHOTS)}, but not {', '.join(missing)}; a store that keeps "
                "snapshots must be able to do all of it"
            )

    def features(self) -> Features:
        """What this store offers: by default, what its class defines.

        Asked when the store has been made; the answer stays the same.  An instance that can do less (opened read-only, a device
        without discard) overrides this and removes flags.
        """
        cls = type(self)
        found = Features.NONE
        for name, feature in _DEFINED_BY.items():
            if getattr(cls, name) is not getattr(Store, name):
                found |= feature
        return found

    @abstractmethod
    def read(self, offset: int, length: int) -> Buffer:
        """Exactly ``length`` bytes at ``offset``, which later writes don't change; a medium that ends early is an error."""

    def write(self, offset: int, data: Buffer) -> None:
        """Store all of ``data`` at ``offset``; a later ``read`` returns it, a later ``flush`` makes it durable."""
        raise NotImplementedError

    def flush(self) -> None:
        """Return when every write that returned before this call is durable, also those of a store that had the medium before.

        So it is called for one that is opened for reading too.

        After a failure that may have lost writes, later calls fail too: no success may ever follow for the writes that were lost.
        """
        raise NotImplementedError

    def write_through(self, offset: int, data: Buffer) -> None:
        """As ``write``, and durable on return."""
        raise NotImplementedError

    def unmap(self, offset: int, length: int) -> None:
        """Give the space of a range back.  The whole range must read as zeroes afterwards."""
        raise NotImplementedError

    def write_zeroes(self, offset: int, length: int) -> None:
        """Zero a range quickly; space stays (or becomes) allocated, so that a later write can't run out of it."""
        raise NotImplementedError

    def extents(self, offset: int, length: int) -> Iterable[Extent]:
        """Adjacent extents that cover the range from ``offset`` on, in order and none beyond it.

        May stop early, but covers at least some; only the first :data:`~tgtcore.limits.EXTENTS_PER_CALL_MAX` are taken.
        """
        raise NotImplementedError

    def resize(self, size_bytes: int) -> None:
        """Make the medium larger or smaller and change ``size_bytes``; new space reads as zeroes."""
        raise NotImplementedError

    def space(self) -> Space:
        """How much space it takes, and how much is left: an estimate that costs little.

        Asked once a second at most, and while reads and writes are under way as ``concurrency`` allows.  A store whose writes never
        run out of space has nothing to tell.
        """
        raise NotImplementedError

    def list_snapshots(self) -> Iterable[SnapshotInfo]:
        """The snapshots that there are, the oldest first.

        Called while reads and writes are under way as ``concurrency`` allows, but never while a snapshot is made, deleted or gone
        back to.
        """
        raise NotImplementedError

    def create_snapshot(self, name: str) -> SnapshotInfo:
        """Keep the content as it is now: with every write that has returned, and with no later one.

        When it returns the snapshot is durable, and so is what it holds.  Called, as ``revert_snapshot``, while no other call is
        under way, so the shorter it takes the better, and after a flush of all that stands on this store, if anything does.

        :raises StoreError: the name can't be, or is the name or the id of another snapshot; nothing has changed.
        """
        raise NotImplementedError

    def delete_snapshot(self, id_or_name: str) -> None:
        """Forget a snapshot; the content and other snapshots stay what they are.

        Called while reads and writes are under way as ``concurrency`` allows, so it may take long; but they should not wait for
        all of it.

        :param id_or_name: the id of one, else the name of one.
        :raises StoreError: there is no such snapshot, or several have the name; nothing has changed.
        """
        raise NotImplementedError

    def revert_snapshot(self, id_or_name: str) -> None:
        """Make the content, and ``size_bytes`` too, what it was when a snapshot was made; every snapshot stays.

        Durable on return.  A failure on the way leaves the content that there was, or the one of the snapshot, never a mixture.
        A flush follows beside other calls: what takes long, such as giving space back, has time then.

        :param id_or_name: as above.
        :raises StoreError: as above.
        """
        raise NotImplementedError

    def base_changed(self) -> None:
        """What this stands on holds other content now, and perhaps more or less of it: a snapshot was gone back to, or the power
        was cut.  Forget what is known of it, and what was not written to it yet; write nothing of that.

        Called on a worker thread while no other call is under way, for each store that stands on the changed one, the lowest
        first.  Where it is missing such a change is refused while this store stands there.

        :raises StoreError: nothing can be made of what is there now.  Every access fails then, until it is called again.
        """
        raise NotImplementedError

    def clone_snapshot(self, id_or_name: str, path: Path) -> Generator[int, None, None]:
        """Copy what a snapshot holds into a new file of this store's kind, which can be opened as a store of its own.

        A generator: each ``next`` does a part that takes some milliseconds, and says up to which byte of the snapshot it is done.
        When they have ended, the file is complete and durable and has its name, and not before.  ``close`` gives up, and leaves
        nothing behind.  They come one after the other, beside any other calls as ``concurrency`` allows; the snapshot can't be
        deleted between the first and the last.

        :param id_or_name: as above.
        :raises StoreError: as above; or there is such a file, or it can't be made.  All of it is raised by ``next``.
        """
        raise NotImplementedError

    def admit_readers(self) -> None:
        """Let other programs read what holds the medium, at their own risk, if its lock keeps them out.

        A format calls it when it has been made, if its images say of themselves whether they are whole, so that who reads one
        while it is written can tell.
        """
        return

    def unmake(self) -> None:
        """Remove what making this store has made, such as a new image file.

        Called right before :meth:`close` when what the store was made for has failed and no command has reached it.
        """
        return

    def close(self) -> None:
        """Let go of everything; called once, after the last other call has returned."""
        return

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """``read`` if it needs no waiting, else None; runs on the loop's thread."""
        return None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """``write`` if it needs no waiting, else False; runs on the loop's thread.

        After False the core calls ``write`` with the same data, so some of it may have been written already.
        """
        return False

    def region(self, offset: int, length: int) -> Region | None:
        """A file range with the same bytes, if they are in memory already; runs on the loop's thread.

        The region is sent whenever its initiator takes it, after ``close`` perhaps: its descriptor must be one that holds no lock
        and no claim on the medium, so that another store can have it then.  Someone may make the file shorter meanwhile: whoever
        sends a region must expect its end.
        """
        return None


_SNAPSHOTS = ("list_snapshots", "create_snapshot", "delete_snapshot", "revert_snapshot")
"""What belongs together."""

_DEFINED_BY = {
    "write": Features.WRITE,
    "write_through": Features.WRITE_THROUGH,
    "unmap": Features.UNMAP,
    "write_zeroes": Features.WRITE_ZEROES,
    "extents": Features.EXTENTS,
    "resize": Features.RESIZE,
    "space": Features.SPACE,
    "create_snapshot": Features.SNAPSHOTS,
}


class Format(Store):
    """A store whose bytes are encoded in another store: an image format.  Made as ``cls(base, options)``.

    A format answers for each operation itself.  It must not forward what it does not know (no ``__getattr__``): a new operation
    that slipped through to the base would address raw image bytes and destroy the image.
    """

    persistent = True

    writes_base: ClassVar[bool] = True
    """Whether it ever writes to its base.  One that does not has it opened for reading only, and others may read it too."""

    def __init__(self, base: Store, options: BaseModel) -> None:
        self.base = base
        self.options = options


class Filter(Store):
    """A store that changes how another one behaves: delays, errors, limits.  Made as ``cls(base, options)``.

    The rule of :class:`Format` holds: what a filter does not define is unsupported, never passed through.

    One that stands in the key ``filters`` of a logical unit may come and go while that is in use: it is made on a base that is in
    use already, but stands still, and when it goes it is flushed and closed and its base stays.  A filter on commands is a
    :class:`~tgtcore.command_filter.CommandFilter`; a class may be both.
    """

    persistent = True

    writes_base: ClassVar[bool] = True
    """As :attr:`Format.writes_base`; for one that stands in ``store``."""

    def __init__(self, base: Store, options: BaseModel) -> None:
        self.base = base
        self.options = options

    def stand_on(self, base: Store) -> None:
        """Stand on another base from now on, which holds the same bytes: another filter has come or gone beneath.

        Called on a worker thread while no other call is under way, after a flush.  What the base offers, and how its blocks are
        aligned, may be different.  Where this is missing the filter is made anew instead, and what it knows is lost.

        :raises StoreError: it can't stand on that; it stands where it stood.
        """
        raise NotImplementedError

    def stand_aside(self, aside: bool) -> None:
        """Let everything through as it is, because the filter is about to go; or do its work again: it stays after all.

        What it and those above it keep can be flushed then, whatever it would have done to that.  Called on the loop's thread,
        while other calls are under way.
        """
        return
