"""The xenstore through a connection to its server."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count

from tgtcore_xen.platform.contract import Store, Transaction, Watch
from tgtcore_xen.platform.hypervisor.connection import StoreConnection
from tgtcore_xen.platform.hypervisor.wire import NO_TRANSACTION, BrokenMessage, Type, path_of, split, strings, text

REQUESTS = 1000
"""How many the server's socket is sent before it has answered."""

ATTEMPTS = 100
"""How often a transaction is tried; a guest may write its nodes again and again."""


class XenStore(Store):
    """See the contract.  When the server is gone every watch is told of its own path, so that who waits for it asks, and learns it.

    :param descriptor: of a socket of the server or of ``/dev/xen/xenbus``; does not block.
    :param at_once: how many requests may be under way.
    """

    def __init__(self, descriptor: int, loop: asyncio.AbstractEventLoop, at_once: int = REQUESTS) -> None:
        self._watches: dict[str, _Watch] = {}
        self._tokens = map(str, count(1))
        self._connection = StoreConnection(descriptor, loop, self._event, self._lost, at_once)

    def close(self) -> None:
        """Hang up, which ends all watches and transactions; idempotent."""
        self._watches.clear()
        self._connection.close()

    async def read(self, path: str) -> str | None:
        """The value of a node."""
        return await self._read(path, NO_TRANSACTION)

    async def list(self, path: str) -> Sequence[str]:
        """Names of the nodes below a node."""
        try:
            return split(await self._connection.send(Type.DIRECTORY, path_of(path), path))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return []
            if error.errno != errno.E2BIG:
                raise
        return await self._list_in_parts(path)

    async def write(self, path: str, value: str) -> None:
        """Set the value of a node."""
        await self._write(path, value, NO_TRANSACTION)

    async def make(self, path: str) -> None:
        """Have a node."""
        await self._connection.send(Type.MKDIR, path_of(path), path)

    async def remove(self, path: str) -> None:
        """Remove a node and all below it."""
        await self._remove(path, NO_TRANSACTION)

    async def permit(self, path: str, permissions: Sequence[str]) -> None:
        """Set a node's permissions."""
        await self._connection.send(Type.SET_PERMS, path_of(path) + strings(*permissions), path)

    async def transact(self, work: Callable[[Transaction], Awaitable[None]]) -> None:
        """Do several things at one time; OSError ``EAGAIN``: somebody else was faster too often."""
        for _ in range(ATTEMPTS):
            number = await self._begin()
            try:
                await work(_Transaction(self, number))
            except BaseException:
                self._abandon(number)
                raise
            try:
                await self._connection.send(Type.TRANSACTION_END, strings("T"), "", number)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
            else:
                return
        raise OSError(errno.EAGAIN, f"a transaction of the xenstore was in vain {ATTEMPTS} times")

    async def watch(self, path: str, told: Callable[[str], None]) -> Watch:
        """Call ``told`` with the path of what has changed."""
        watch = _Watch(self, path, next(self._tokens), told)
        self._watches[watch.token] = watch
        try:
            await self._connection.send(Type.WATCH, path_of(path) + strings(watch.token), path)
        except OSError:
            self._watches.pop(watch.token, None)
            raise
        except asyncio.CancelledError:
            self._unwatch(watch)
            raise
        return watch

    async def is_introduced(self, domid: int) -> bool:
        """Whether there is such a guest."""
        return await self._connection.send(Type.IS_DOMAIN_INTRODUCED, strings(str(domid))) == b"T\0"

    async def own_domid(self) -> str | None:
        """What the store knows as the number of the domain that we are."""
        try:
            return text(await self._connection.send(Type.READ, strings("domid"), "domid"))  # below our own path
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    # ---- of transactions too ---------------------------------------------------------------------------------------------

    async def _read(self, path: str, transaction: int) -> str | None:
        try:
            return text(await self._connection.send(Type.READ, path_of(path), path, transaction))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    async def _write(self, path: str, value: str, transaction: int) -> None:
        await self._connection.send(Type.WRITE, path_of(path) + value.encode(), path, transaction)

    async def _remove(self, path: str, transaction: int) -> None:
        try:
            await self._connection.send(Type.RM, path_of(path), path, transaction)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    async def _begin(self) -> int:
        answer = self._connection.send(Type.TRANSACTION_START, strings(""))
        try:
            return _number(await asyncio.shield(answer))
        except asyncio.CancelledError:
            answer.add_done_callback(self._abandon_begun)
            raise

    def _abandon_begun(self, answer: "asyncio.Future[bytes]") -> None:
        with suppress(OSError):
            self._abandon(_number(answer.result()))

    def _abandon(self, number: int) -> None:
        with suppress(OSError):
            _unattended(self._connection.send(Type.TRANSACTION_END, strings("F"), "", number))

    # ---- lists and watches -----------------------------------------------------------------------------------------------

    async def _list_in_parts(self, path: str) -> Sequence[str]:
        """The list of a node with more below it than one message holds."""
        names: list[str] = []
        generation = None
        offset = 0
        while True:
            part = await self._connection.send(Type.DIRECTORY_PART, path_of(path) + strings(str(offset)), path)
            at, _, children = part.partition(b"\0")
            if generation not in (None, at):  # it has changed meanwhile
                names, offset, generation = [], 0, None
                continue
            generation = at
            last = children.endswith(b"\0\0") or children == b"\0"
            children = children[:-1] if last else children
            if not children and not last:
                raise BrokenMessage("an empty part of a list")
            names += split(children)
            offset += len(children)
            if last:
                return names

    def _event(self, path: str, token: str) -> None:
        watch = self._watches.get(token)
        if watch is not None:
            watch.told(path)

    def _lost(self) -> None:
        watches = list(self._watches.values())
        self._watches.clear()
        for watch in watches:
            watch.told(watch.path)

    def _unwatch(self, watch: "_Watch") -> "asyncio.Future[bytes] | None":
        if self._watches.pop(watch.token, None) is None:
            return None
        with suppress(OSError):
            return _unattended(
                self._connection.send(Type.UNWATCH, path_of(watch.path) + strings(watch.token), watch.path)
            )
        return None


class _Watch:
    """One watch, known to the server by a token of its own."""

    def __init__(self, store: XenStore, path: str, token: str, told: Callable[[str], None]) -> None:
        self.path, self.token, self.told = path, token, told
        self._store = store

    async def end(self) -> None:
        """Tell no more."""
        answer = self._store._unwatch(self)
        if answer is not None:
            with suppress(OSError):
                await answer


class _Transaction:
    """What belongs to one transaction."""

    def __init__(self, store: XenStore, number: int) -> None:
        self._store = store
        self._number = number

    async def read(self, path: str) -> str | None:
        """The value of a node."""
        return await self._store._read(path, self._number)

    async def write(self, path: str, value: str) -> None:
        """Set the value of a node."""
        await self._store._write(path, value, self._number)

    async def remove(self, path: str) -> None:
        """Remove a node and all below it."""
        await self._store._remove(path, self._number)


def _number(payload: bytes) -> int:
    digits = payload.removesuffix(b"\0")
    if not digits.isdigit() or len(digits) > len(str(1 << 32)):
        raise BrokenMessage(f"the transaction {payload[:20]!r}")
    return int(digits)


def _unattended(answer: "asyncio.Future[bytes]") -> "asyncio.Future[bytes]":
    """An answer that may be an error that nobody looks at."""
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer
