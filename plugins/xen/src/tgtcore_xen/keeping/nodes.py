"""The nodes of a virtual HBA in the store: read, made, written, removed."""

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from tgtcore_xen.platform.contract import Store, Transaction, Watch
from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.making import directories, new_nodes
from tgtcore_xen.xenbus.observed import Observed, Values
from tgtcore_xen.xenbus.paths import HbaPaths
from tgtcore_xen.xenbus.states import State

_log = logging.getLogger(__name__)

_ABOVE_ERROR = 3
"""Directories between that in which errors are said of a virtual HBA and that of all errors: guest, vscsi, backend."""


class Nodes:
    """Those of one virtual HBA.  Every method raises OSError when the store does not do it.

    :param tidying: see :class:`~tgtcore_xen.keeping.surroundings.Surroundings`.
    """

    def __init__(self, store: Store, place: HbaPaths, tidying: asyncio.Lock) -> None:
        self.place = place
        self._store = store
        self._tidying = tidying
        self._watches: list[Watch] = []
        self._may_be_paused = False

    async def watch(self, told: Callable[[], None]) -> None:
        """Call ``told`` when anything changes."""
        for directory in (self.place.back, self.place.front):
            self._watches.append(await self._store.watch(directory, lambda _: told()))

        def suspends(_: str) -> None:
            self._may_be_paused = True
            told()

        self._watches.append(await self._store.watch(self.place.shutdown, suspends))

    async def unwatch(self) -> None:
        """Watch no more; idempotent."""
        watches, self._watches = self._watches, []
        for watch in watches:
            with suppress(OSError):
                await watch.end()

    async def read(self) -> Observed:
        """What stands there.  Of the guest's nodes only those are looked at that mean something, however many there are."""
        back, front = self.place.back, self.place.front
        of_back = await self._values(back, paths.BACK_NODES)
        of_front = await self._values(front, paths.FRONT_NODES)
        # a front end tells of its devices first, and then that it is connected
        names = await self._store.list(f"{back}/{paths.DEVICES}")
        devices = {}
        for number in sorted({number for name in names if (number := paths.device_number(name)) is not None}):
            directory = paths.device(number)
            ours = await self._values(f"{back}/{directory}", paths.BACK_DEVICE_NODES)
            devices[number] = ours, await self._values(f"{front}/{directory}", (paths.STATE,))
        return Observed.parse(self.place, of_back, of_front, devices)

    async def _values(self, directory: str, names: Iterable[str]) -> Values:
        return {name: await self._read(f"{directory}/{name}") for name in names}

    async def _read(self, path: str) -> str | None:
        """What others have is not there for us as long as we have no right to it."""
        try:
            return await self._store.read(path)
        except PermissionError:
            return None

    async def make(self, sg_grant: int) -> None:
        """Make both directories, and all that is in them.

        Permissions first: what is made in a directory has those of the directory.  Then all values at once: a guest that goes on
        just then, after it was suspended, looks at them once.
        """

        async def write(transaction: Transaction) -> None:
            for path, value in new_nodes(self.place, sg_grant):
                await transaction.write(path, value)

        async with self._tidying:
            await self._remove()
            for directory in directories(self.place):
                await self._store.make(directory.path)
                await self._store.permit(directory.path, directory.permissions)
        await self._store.transact(write)

    async def remove(self) -> None:
        """Remove everything, what was said of errors too, and what is empty then."""
        async with self._tidying:
            await self._remove()
            guest, error = _parent(self.place.back), _parent(_parent(self.place.error))
            await self._tidy(_parent(self.place.front), guest, _parent(guest), error, _parent(error))

    async def bury(self) -> None:
        """The guest is gone: remove everything, and what of its home was made after the tools had removed that."""
        await self.remove()
        async with self._tidying:
            device = _parent(_parent(self.place.front))
            await self._tidy(device, _parent(device))

    async def _tidy(self, *directories: str) -> None:
        """Remove those that are empty."""
        for path in directories:
            if not await self._store.list(path):
                await self._store.remove(path)

    async def _remove(self) -> None:
        for path in (self.place.back, self.place.front, _parent(self.place.error)):
            await self._store.remove(path)

    async def write(self, name: str, value: str) -> None:
        """Set a node of ours."""
        await self._store.write(f"{self.place.back}/{name}", value)

    async def remind(self) -> None:
        """Say once more that the back end is connected, if the guest may have been suspended since.

        Linux's front end pauses when its guest is suspended.  Where that goes on in place, as after a checkpoint, nobody tells the
        front end, and it stays paused until it hears this.  It is not too early: the guest suspends while it is told what tools
        have asked for, and it is told of one node after the other.
        """
        if self._may_be_paused:
            self._may_be_paused = False
            try:
                await self.write(paths.STATE, str(int(State.CONNECTED)))
            except OSError:
                self._may_be_paused = True
                raise

    async def erase(self, name: str) -> None:
        """Remove a node of ours."""
        await self._store.remove(f"{self.place.back}/{name}")

    async def say_error(self, text: str) -> None:
        """Say what is wrong where tools look for it."""
        await self._store.write(self.place.error, text)


class FoundNodes(Nodes):
    """Those that somebody in domain 0 makes and removes: what is said of errors is all that is ours to remove."""

    async def make(self, sg_grant: int) -> None:
        """Nobody may ask for that."""
        raise PermissionError(errno.EPERM, "the nodes are somebody else's to make", self.place.back)

    async def remove(self) -> None:
        """Remove what was said of errors."""
        error = _parent(self.place.error)
        with suppress(PermissionError):
            async with self._tidying:
                await self._store.remove(error)
                for _ in range(_ABOVE_ERROR):
                    error = _parent(error)
                    await self._tidy(error)

    async def bury(self) -> None:
        """The guest is gone, or its nodes are."""
        await self.remove()

    async def say_error(self, text: str) -> None:
        """Say what is wrong where tools look for it, if domain 0 lets us."""
        with suppress(PermissionError):
            await super().say_error(text)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


async def sweep(store: Store, back_domid: int, is_there: Callable[[int], bool]) -> None:
    """Remove what back ends of this domain have left of guests that are gone: nobody else does."""
    top = f"{paths.DOMAINS}/{back_domid}/backend/vscsi"
    for name in await store.list(top):
        if name.isascii() and name.isdecimal() and not is_there(int(name)):
            _log.info("domain %s is gone; its virtual HBAs are removed from the xenstore", name)
            await store.remove(f"{top}/{name}")
