"""The guests of the machine: found by name, UUID or domid, and noticed when they come, go, or are called otherwise."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from tgtcore_xen.platform.contract import INTRODUCE, RELEASE, Store, Watch
from tgtcore_xen.xenbus.paths import DOMAINS, VMS

_log = logging.getLogger(__name__)
_AGAIN_S = 1.0
NAME_CHARACTERS = 120

INCOMING = "--incoming"
_AWAY = "--migratedaway"
"""What xl adds to the name of a domain that a guest migrates to, until it runs there, and then to that of the one it came from."""


class Guest(NamedTuple):
    """A domain.

    :param name: as tools call it; empty when it has none yet.
    :param uuid: empty when it has none.
    """

    domid: int
    name: str
    uuid: str

    def __str__(self) -> str:
        return self.name or self.uuid or f"domain {self.domid}"

    @property
    def called(self) -> str:
        """Its name, or that which it is about to have."""
        return self.name.removesuffix(INCOMING)


class Guests:
    """Which guests there are, kept up to date.

    A domain that tools make while this goes on is a guest before the store has a connection to it: one that is restored looks for
    the nodes of its devices when it goes on, and never again.

    :param own: domid of the domain that we are; it counts as a guest, too.
    :param changed: called when others are there than before.
    """

    def __init__(self, store: Store, own: int, changed: Callable[[], None]) -> None:
        self.found: dict[int, Guest] = {}
        """By domid."""
        self._store = store
        self._own = own
        self._past: set[int] | None = None
        """Domids in the store that are, or were, those of guests which the store has a connection to; None: not known so far."""
        self._introduced: set[int] = set()
        self._changed = changed
        self._stale = asyncio.Event()
        self._looking = asyncio.Lock()
        self._watches: list[Watch] = []
        self._of_names: dict[int, Watch] = {}
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Know which there are, and follow what becomes of them.

        :raises OSError: the store does not tell.
        """
        for what in (INTRODUCE, RELEASE, VMS):
            self._watches.append(await self._store.watch(what, self._told))
        await self._look()
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Follow no more; idempotent."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.wait({following})
        watches, self._watches = [*self._watches, *self._of_names.values()], []
        self._of_names.clear()
        for watch in watches:
            with suppress(OSError):
                await watch.end()

    async def refresh(self) -> None:
        """Know which there are at this moment, whether the store has told or not yet.

        :raises OSError: the store does not tell.
        """
        if await self._look():
            self._changed()

    def find(self, wanted: str) -> Guest | None:
        """A guest by domid (a number), UUID or name.

        One that migrates to this machine is found by the name that it is about to have, unless another one has it.
        """
        if wanted.isascii() and wanted.isdecimal():
            return self.found.get(int(wanted)) if len(wanted) <= 5 else None
        named = [guest for guest in self.found.values() if wanted in (guest.uuid, guest.name, guest.called)]
        return min(named, key=lambda guest: self._doubts(guest, wanted), default=None)

    def _doubts(self, guest: Guest, wanted: str) -> tuple[int, bool]:
        """The less, the rather it is the guest of that name or UUID, where a migration within the machine makes two of it."""
        suffix = 0 if guest.name == wanted else 2 * guest.name.endswith(_AWAY) or guest.name.endswith(INCOMING)
        return suffix, guest.domid not in self._introduced

    def _told(self, path: str) -> None:
        self._stale.set()

    async def _follow(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                other = await self._look()
            except OSError as error:
                _log.warning("the xenstore does not tell which guests there are: %s", error)
                self._stale.set()
                await asyncio.sleep(_AGAIN_S)
                continue
            if other:
                self._changed()

    async def _look(self) -> bool:
        """Whether others are there than before."""
        async with self._looking:
            return await self._look_alone()

    async def _look_alone(self) -> bool:
        before = self.found
        names = await self._store.list(DOMAINS)
        domids = sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) <= 5)
        introduced = {domid for domid in domids if domid == self._own or await self._store.is_introduced(domid)}
        past = set(domids) if self._past is None else self._past & set(domids)
        self._past, self._introduced = past | introduced, introduced
        guests = [await self._read(domid) for domid in domids if domid in introduced or domid not in self._past]
        found = {one.domid: one for one in guests if one.domid in introduced or (one.name and one.uuid)}
        for domid in [*self._of_names.keys() - found.keys()]:
            await self._of_names.pop(domid).end()
        for domid in found.keys() - self._of_names.keys():
            # It tells at the beginning too: what has changed since it was read is not missed.
            self._of_names[domid] = await self._store.watch(f"{DOMAINS}/{domid}/name", self._told)
        self.found = found
        return self.found != before

    async def _read(self, domid: int) -> Guest:
        name = await self._store.read(f"{DOMAINS}/{domid}/name") or ""
        vm = await self._store.read(f"{DOMAINS}/{domid}/vm") or ""
        return Guest(domid, name[:NAME_CHARACTERS], vm.removeprefix("/vm/")[:NAME_CHARACTERS].lower())
