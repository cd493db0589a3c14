"""The adapters of the transport: opened all or none, closed when nobody needs them any more."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence

from tgtcore_ibmvio.options import AdapterOptions
from tgtcore_ibmvio.platform import Adapter, Platform
from tgtcore_ibmvio.server import AdapterServer

_log = logging.getLogger(__name__)

Serve = Callable[[Adapter, AdapterOptions], AdapterServer]


class Servers:
    """Adapters at work, by unit address.

    One that is no portal any more stays for as long as it has a session.

    :param serve: makes the server of an adapter.
    """

    def __init__(self, platform: Platform, serve: Serve) -> None:
        self._platform = platform
        self._serve = serve
        self._found: dict[str, AdapterServer] = {}

    def __iter__(self) -> Iterator[AdapterServer]:
        return iter(list(self._found.values()))

    def portals(self) -> list[AdapterServer]:
        """Those that take new sessions."""
        return [server for server in self if server.port.listening]

    async def apply(self, wanted: Sequence[AdapterOptions]) -> None:
        """Serve these adapters and no others.

        :raises OSError: one can't be opened; then nothing has changed.
        """
        opened: list[tuple[Adapter, AdapterOptions]] = []
        try:
            for options in wanted:
                if options.address not in self._found:
                    opened.append((await self._open(options), options))
        except BaseException:
            for adapter, _ in opened:
                await self._platform.release(adapter)
            raise
        for adapter, options in opened:
            self._found[options.address] = self._serve(adapter, options)
        by_address = {options.address: options for options in wanted}
        for address, server in self._found.items():
            server.options = by_address.get(address, server.options)
            server.port.listening, server.pausing = address in by_address, False
        await self.keep()

    async def pause(self) -> None:
        """Take no new sessions until :meth:`apply`."""
        for server in self.portals():
            server.port.listening, server.pausing = False, True
        await self.keep()

    async def _open(self, options: AdapterOptions) -> Adapter:
        try:
            return await self._platform.open(int(options.address, 16))
        except OSError as error:
            why = str(error) if error.filename is None else f"{error.filename}: {(error.strerror or '').lower()}"
            raise OSError(f"adapter {options.address} can't be opened: {why}") from error

    async def keep(self) -> None:
        """Let each server do what is to be done from time to time, and let go of those that are not needed."""
        for server in self:
            server.keep()
            if not (server.port.listening or server.pausing) and server.idle:
                await self._release(server)

    async def close(self) -> None:
        """End everything; returns when the last command has ended."""
        await asyncio.gather(*map(_left, self))
        for server in self:
            server.queue.abandon()
        await self._platform.close()

    async def _release(self, server: AdapterServer) -> None:
        del self._found[server.options.address]
        try:
            await self._platform.release(server.adapter)
        except Exception:
            _log.exception("%s is not served any more, and the platform failed at that", server)
        else:
            _log.info("%s is not served any more", server)


async def _left(server: AdapterServer) -> None:
    ended = asyncio.get_running_loop().create_future()
    server.leave(lambda: None if ended.done() else ended.set_result(None))
    await ended
