"""A store in use: the author's object with its name, leases, claims, threads and the emulation of what it lacks."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from tgtcore.errors import ReadOnly, Unsupported
from tgtcore.leases import Leases
from tgtcore.limits import EXTENTS_PER_CALL_MAX
from tgtcore.loop import Done, Lane, Runner, Workers
from tgtcore.store.claims import Claims
from tgtcore.store.contract import Buffer, Concurrency, Extent, Features, Space, Store

_ZEROES = bytes(1024 * 1024)


class OpenStore:
    """What device types see of a store.

    Every operation that commands need is there: natively, emulated where the emulation is exact, or refused with ``Unsupported`` or
    ``ReadOnly``.
    Methods without ``nowait`` may block: call them inside :meth:`run`.

    :param name: as in the configuration or the file's path; used in messages.
    :param workers: the daemon's threads.
    :param read_only: refuse writes although the store could take them.
    :param concurrency: that of the strictest store in a stack; by default, the store's own.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        workers: Workers,
        *,
        read_only: bool = False,
        concurrency: Concurrency | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.features = store.features()
        self._flushes = type(store).flush is not Store.flush
        """Also when writes are refused: whoever had the medium before may have left some in a cache."""
        if read_only:
            self.features &= Features.EXTENTS
        self.leases = Leases(f"store {name}")
        self.claims = Claims(f"store {name}")
        lane: Runner = workers if (concurrency or store.concurrency) is Concurrency.PARALLEL else Lane(workers)
        self._run = lane.run
        self.call = lane.call
        """As :meth:`run`, as an awaitable."""
        self.read = store.read
        self.read_nowait = store.read_nowait
        self.write_nowait = store.write_nowait if self.writable else _refuse_nowait
        self.region = store.region

    def __str__(self) -> str:
        return f"store {self.name}"

    @property
    def size_bytes(self) -> int:
        """Size of the medium now."""
        return self.store.size_bytes

    @property
    def writable(self) -> bool:
        """Whether writes are taken at all."""
        return Features.WRITE in self.features

    @property
    def features_shown(self) -> Features:
        """What initiators may have been told that the store can do: snapshots are none of their business."""
        return self.features & ~Features.SNAPSHOTS

    def shown_to_initiators(self) -> tuple[object, ...]:
        """What a device type may have told initiators about the store besides its size."""
        store = self.store
        return self.features_shown, store.block_bytes, store.preferred_bytes, store.rotational

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """Call ``function(*args)`` where it may block, respecting the store's concurrency; ``done`` on the loop's thread."""
        self._run(function, args, done)

    def write(self, offset: int, data: Buffer) -> None:
        """As :meth:`Store.write`."""
        self._need_write()
        self.store.write(offset, data)

    def flush(self) -> None:
        """As :meth:`Store.flush`; where a store never writes, there is nothing to flush."""
        if self._flushes:
            self.store.flush()

    def write_through(self, offset: int, data: Buffer) -> None:
        """Write, durable on return; emulated by a flush."""
        self._need_write()
        if Features.WRITE_THROUGH in self.features:
            self.store.write_through(offset, data)
        else:
            self.store.write(offset, data)
            self.store.flush()

    def unmap(self, offset: int, length: int) -> None:
        """As :meth:`Store.unmap`.

        :raises Unsupported: the store is not thin.
        """
        self._need_write()
        if Features.UNMAP not in self.features:
            raise Unsupported(f"{self} can't give space back")
        self.store.unmap(offset, length)

    def write_zeroes(self, offset: int, length: int) -> None:
        """Zero a range, keeping it allocated; emulated by writing zeroes."""
        self._need_write()
        if Features.WRITE_ZEROES in self.features:
            self.store.write_zeroes(offset, length)
            return
        zeroes = memoryview(_ZEROES)
        while length:
            piece = min(length, len(zeroes))
            self.store.write(offset, zeroes[:piece])
            offset, length = offset + piece, length - piece

    def extents(self, offset: int, length: int) -> Iterable[Extent]:
        """As :meth:`Store.extents`; a store that can't tell has everything allocated."""
        if Features.EXTENTS in self.features:
            return tuple(
                islice(self.store.extents(offset, length), EXTENTS_PER_CALL_MAX)
            )  # a generator would block later
        return (Extent(offset, length, True),)

    def resize(self, size_bytes: int) -> None:
        """As :meth:`Store.resize`.

        :raises Unsupported: the store's size is fixed.
        """
        if Features.RESIZE not in self.features:
            raise Unsupported(f"{self} can't change its size")
        self.store.resize(size_bytes)

    def space(self) -> Space:
        """As :meth:`Store.space`.

        :raises Unsupported: the store can't tell.
        """
        if Features.SPACE not in self.features:
            raise Unsupported(f"{self} can't tell how much space is left")
        return self.store.space()

    def close(self) -> None:
        """Flush and close; the last call, made when no lease is left."""
        try:
            self.flush()
        finally:
            self.store.close()

    def _need_write(self) -> None:
        if not self.writable:
            raise ReadOnly(f"{self} is read-only")


def _refuse_nowait(offset: int, data: Buffer) -> bool:
    return False
