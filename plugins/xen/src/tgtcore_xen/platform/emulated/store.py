"""The store as one domain sees it."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence

from tgtcore_xen.platform.contract import Store
from tgtcore_xen.platform.emulated.xenstore.permissions import Permissions
from tgtcore_xen.platform.emulated.xenstore.server import Changing, StoreServer
from tgtcore_xen.platform.emulated.xenstore.watches import Client, Watching


class EmulatedStore(Store):
    """A connection to the store's server, with the rights of a domain.

    :param loop: where watches are told.
    """

    def __init__(self, server: StoreServer, domid: int, loop: asyncio.AbstractEventLoop) -> None:
        self.domid = domid
        self._server = server
        self._client = Client(domid, loop)
        self._ended = False

    def end(self) -> None:
        """Break it off: its watches and transactions end with it; idempotent."""
        self._ended = True
        self._server.disconnect(self._client)

    async def answer(self) -> None:
        """What every call takes: a turn of the loop at least.

        :raises OSError: ECONNRESET: there is no server.
        """
        self.check()
        await asyncio.sleep(self._server.faults.store_delay_s)
        self.check()

    def check(self) -> None:
        """Whether there is a server.

        :raises OSError: ECONNRESET: there is none.
        """
        if self._server.faults.store_gone or self._ended:
            raise OSError(errno.ECONNRESET, "the store has gone")

    async def read(self, path: str) -> str | None:
        """See :class:`Store`."""
        await self.answer()
        return _missing_is_none(lambda: self._server.read(self.domid, path))

    async def list(self, path: str) -> Sequence[str]:
        """See :class:`Store`."""
        await self.answer()
        try:
            return self._server.directory(self.domid, path)
        except FileNotFoundError:
            return []

    async def write(self, path: str, value: str) -> None:
        """See :class:`Store`."""
        await self.write_bytes(path, value.encode())

    async def write_bytes(self, path: str, value: bytes) -> None:
        """Write what may be no text."""
        await self.answer()
        self._server.write(self.domid, path, value)

    async def make(self, path: str) -> None:
        """See :class:`Store`."""
        await self.answer()
        self._server.make(self.domid, path)

    async def remove(self, path: str) -> None:
        """See :class:`Store`."""
        await self.answer()
        _missing_is_none(lambda: self._server.remove(self.domid, path))

    async def permit(self, path: str, permissions: Sequence[str]) -> None:
        """See :class:`Store`."""
        await self.answer()
        self._server.permit(self.domid, path, Permissions.parse(permissions))

    async def transact(self, work: "Callable[[EmulatedTransaction], Awaitable[None]]") -> None:
        """See :class:`Store`."""
        while True:
            await self.answer()
            changing = self._server.begin(self._client)
            try:
                await work(EmulatedTransaction(self, self._server, changing))
                await self.answer()
            except BaseException:
                self._server.abort(changing)
                raise
            if self._server.commit(changing):
                return

    async def watch(self, path: str, told: Callable[[str], None]) -> "EmulatedWatch":
        """See :class:`Store`."""
        await self.answer()
        return EmulatedWatch(self._server, self._server.watch(self._client, path, told))

    async def is_introduced(self, domid: int) -> bool:
        """See :class:`Store`."""
        await self.answer()
        return domid in self._server.introduced


class EmulatedWatch:
    """See :class:`~tgtcore_xen.platform.contract.Watch`."""

    def __init__(self, server: StoreServer, watching: Watching) -> None:
        self._server = server
        self._watching = watching

    async def end(self) -> None:
        """Tell no more; idempotent."""
        self._server.watches.remove(self._watching)
        await asyncio.sleep(0)


class EmulatedTransaction:
    """See :class:`~tgtcore_xen.platform.contract.Transaction`."""

    def __init__(self, store: EmulatedStore, server: StoreServer, changing: Changing) -> None:
        self._store = store
        self._server = server
        self._changing = changing

    async def read(self, path: str) -> str | None:
        """See :class:`Store`."""
        await self._store.answer()
        return _missing_is_none(lambda: self._server.read(self._store.domid, path, self._changing))

    async def write(self, path: str, value: str) -> None:
        """See :class:`Store`."""
        await self._store.answer()
        self._server.write(self._store.domid, path, value.encode(), self._changing)

    async def remove(self, path: str) -> None:
        """See :class:`Store`."""
        await self._store.answer()
        _missing_is_none(lambda: self._server.remove(self._store.domid, path, self._changing))


def _missing_is_none(call: Callable[[], bytes | None]) -> str | None:
    try:
        value = call()
    except FileNotFoundError:
        return None
    return None if value is None else value.decode(errors="replace")
