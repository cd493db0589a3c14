"""What every transport promises, with guests whose front ends speak SRP."""

import asyncio
from concurrent.futures import wait

from support.xen_guests import XenConformance
from tgtcore_xen.frontend.srp import SrpFrontEnd
from tgtcore_xen.platform.emulated import EmulatedXen

from tgtcore import Transport
from tgtcore.testing.transport_rig import Answer, Session

PATIENCE_S = 10.0


class Initiator:
    def __init__(self, front: SrpFrontEnd) -> None:
        self._loop = front.guest.loop
        self._front = front

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def execute(self, cdb: bytes, data_out: bytes, room: int, lun: int) -> Answer:
        """A back end that lets go without a word, to come back, is as good as gone to this test."""
        running = asyncio.run_coroutine_threadsafe(
            self._front.execute(lun, cdb, data_out=data_out, room=room), self._loop
        )
        while not wait({running}, 0.01).done:
            if not self._front.guest.mapped:
                running.cancel()
                raise ConnectionResetError("nobody serves the ring")
        response, data = running.result()
        return Answer(response.status, data, response.sense)

    def log_out(self) -> None:
        self._run(self._leave())

    async def _leave(self) -> None:
        self._front.log_out()
        await self._front.unload()

    def vanish(self) -> None:
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._front.guest.destroy)
        else:
            self._front.guest.destroy()


class TestSrp(XenConformance):
    def log_in(self, transport: Transport) -> Session:
        name = next(self.names)
        connecting = asyncio.run_coroutine_threadsafe(_logged_in(self.machine, name), self.machine.loop)
        return Initiator(self.connected(transport, name, connecting))


async def _logged_in(machine: EmulatedXen, name: str) -> SrpFrontEnd:
    front = SrpFrontEnd(machine.create(name))
    await front.log_in(PATIENCE_S)
    front.heeds = False  # the tests say when it logs out
    return front


class TestSrpBehindARing(TestSrp):
    behind_a_ring = True
