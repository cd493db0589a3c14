"""Who is told of changes."""

import asyncio
from collections.abc import Callable, Iterable

from tgtcore_xen.platform.contract import INTRODUCE, RELEASE
from tgtcore_xen.platform.emulated.xenstore.permissions import Right
from tgtcore_xen.platform.emulated.xenstore.tree import Change

SPECIAL = (INTRODUCE, RELEASE)


class Client:
    """A connection to the store's server.

    :param loop: where watches are told.
    """

    def __init__(self, domid: int, loop: asyncio.AbstractEventLoop) -> None:
        self.domid = domid
        self.loop = loop


class Watching:
    """One watch.

    :param client: whose it is.
    :param told: called on the client's loop.
    """

    def __init__(self, client: "Client", path: str, told: Callable[[str], None]) -> None:
        self.client = client
        self.path = path
        self.ended = False
        self._told = told
        self._below = path.rstrip("/") + "/"

    def covers(self, change: Change) -> bool:
        """Whether it is told of that."""
        path = change.path
        covered = path == self.path or (not change.exact and path.startswith(self._below) and self.path not in SPECIAL)
        return covered and change.permissions.allow(self.client.domid, Right.READ)

    def tell(self, path: str) -> None:
        """Soon."""
        self.client.loop.call_soon(self._tell, path)

    def _tell(self, path: str) -> None:
        if not self.ended:
            self._told(path)


class Watches:
    """All watches of a store."""

    def __init__(self) -> None:
        self._all: dict[Watching, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def of(self, domid: int) -> list[Watching]:
        """Those of one domain."""
        return [watching for watching in self._all if watching.client.domid == domid]

    def by(self, client: Client) -> list[Watching]:
        """Those of one connection."""
        return [watching for watching in self._all if watching.client is client]

    def add(self, watching: Watching) -> None:
        """It is told at the beginning, whether there is such a node or not."""
        self._all[watching] = None
        watching.tell(watching.path)

    def remove(self, watching: Watching) -> None:
        """Idempotent."""
        watching.ended = True
        self._all.pop(watching, None)

    def fire(self, changes: Iterable[Change]) -> None:
        """Tell of changes of nodes."""
        for change in changes:
            for watching in self._all:
                if watching.covers(change):
                    watching.tell(change.path)

    def announce(self, name: str) -> None:
        """Tell that a guest has come, or has gone."""
        for watching in self._all:
            if watching.path == name:
                watching.tell(name)
