"""The guests for which somebody in domain 0 has made nodes: all that another domain may know of."""

import asyncio

from tgtcore_xen.guests import NAME_CHARACTERS, Guest, Guests
from tgtcore_xen.xenbus import paths


class FoundGuests(Guests):
    """Those that have a directory below ours, which belongs to domain 0 and to us: what it says of them is true.

    A guest whose last directory is gone has gone, as far as we can know.
    """

    async def open(self) -> None:
        """See :class:`~tgtcore_xen.guests.Guests`."""
        self._top = f"{paths.DOMAINS}/{self._own}/backend/vscsi"
        self._watches.append(await self._store.watch(self._top, self._told))
        await self._look()
        self._following = asyncio.create_task(self._follow())

    def _told(self, path: str) -> None:
        """States and logical units, which change all the time, say nothing of who is there."""
        _, _, below = path.partition(f"{self._top}/")
        if below.count("/") < 2 or below.endswith(_NAMES):
            super()._told(path)

    async def _look_alone(self) -> bool:
        before = self.found
        found: dict[int, Guest] = {}
        for name in await self._store.list(self._top):
            if name.isascii() and name.isdecimal() and len(name) <= 5:
                for dev in await self._store.list(f"{self._top}/{name}"):
                    found[int(name)] = await self._named(int(name), f"{self._top}/{name}/{dev}", found)
        self.found = found
        return found != before

    async def _named(self, domid: int, directory: str, found: dict[int, Guest]) -> Guest:
        """The guest as one of its directories calls it; the first one that says something is right."""
        known = found.get(domid, Guest(domid, "", ""))
        name = known.name or await self._store.read(f"{directory}/{paths.GUEST_NAME}") or ""
        uuid = known.uuid or await self._store.read(f"{directory}/{paths.GUEST_UUID}") or ""
        return Guest(domid, name[:NAME_CHARACTERS], uuid[:NAME_CHARACTERS].lower())


_NAMES = (f"/{paths.GUEST_NAME}", f"/{paths.GUEST_UUID}")
