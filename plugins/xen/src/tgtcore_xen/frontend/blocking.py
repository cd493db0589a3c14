"""A front end for programs without an event loop, and for threads beside one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tgtcore_xen.frontend.front import FrontEnd
from tgtcore_xen.frontend.queue import Address, Outcome
from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.vscsiif.results import Host

_Result = TypeVar("_Result")


class BlockingFrontEnd:
    """A guest's front end whose calls wait; the loop of its machine runs in another thread.

    :param timeout_s: how long one call may take.
    """

    def __init__(self, guest: EmulatedGuest, number: int = 0, timeout_s: float = 30) -> None:
        self.guest = guest
        self.timeout_s = timeout_s
        self._loop = guest.loop
        self.front = self._run(_make(guest, number))

    def _run(self, work: "Coroutine[Any, Any, _Result]") -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(self.timeout_s)

    def connect(self, timeout_s: float = 10) -> None:
        """See :meth:`FrontEnd.connect`."""
        self._run(self.front.connect(timeout_s))

    def execute(self, address: Address, cdb: bytes, *, data_out: bytes = b"", room: int = 0) -> Outcome:
        """Run a command to its end.

        :raises ConnectionError: it has none, or the back end could not bring it to the device.
        """
        return self._run(self._execute(address, cdb, data_out, room))

    async def _execute(self, address: Address, cdb: bytes, data_out: bytes, room: int) -> Outcome:
        outcome = await self.front.execute(address, cdb, data_out=data_out, room=room)
        if outcome.host != Host.OK:
            raise ConnectionAbortedError(f"the back end could not do it: host byte {outcome.host}")
        return outcome

    def close(self) -> None:
        """Remove the driver."""
        self._run(self.front.unload())

    def vanish(self) -> None:
        """Destroy the guest, even while another thread waits in here."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self.guest.destroy)
        else:
            self.guest.destroy()


async def _make(guest: EmulatedGuest, number: int) -> FrontEnd:
    return FrontEnd(guest, number)
