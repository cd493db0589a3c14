"""What every transport promises, with guests of an emulated machine."""

import asyncio
from concurrent.futures import wait
from time import monotonic, sleep

from support.xen_guests import XenConformance
from tgtcore_xen.frontend import BlockingFrontEnd
from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.vscsiif.results import Host

from tgtcore import Transport
from tgtcore.testing.transport_rig import Answer, Rig, Session


class Initiator:
    def __init__(self, front: BlockingFrontEnd) -> None:
        self._front = front

    def execute(self, cdb: bytes, data_out: bytes, room: int, lun: int) -> Answer:
        """A back end that lets go without a word, to come back, is as good as gone to this test."""
        running = asyncio.run_coroutine_threadsafe(
            self._front.front.execute((0, 0, lun), cdb, data_out=data_out, room=room), self._front.guest.loop
        )
        while not wait({running}, 0.01).done:
            if not self._is_served():
                running.cancel()
                raise ConnectionResetError("nobody serves the ring")
        outcome = running.result()
        if outcome.host == Host.OK:
            return Answer(outcome.status, outcome.data, outcome.sense)
        until = monotonic() + 20
        while self._is_served() and monotonic() < until:  # it was aborted: no answer, as SCSI has it
            sleep(0.01)
        raise ConnectionAbortedError(f"host byte {outcome.host}")

    def _is_served(self) -> bool:
        return self._front.guest.mapped > 0

    def log_out(self) -> None:
        self._front.close()

    def vanish(self) -> None:
        self._front.vanish()


class TestEmulated(XenConformance):
    def log_in(self, transport: Transport) -> Session:
        guest = asyncio.run_coroutine_threadsafe(self.create(), self.machine.loop).result(5)
        front = BlockingFrontEnd(guest, timeout_s=10)
        connecting = asyncio.run_coroutine_threadsafe(front.front.connect(), self.machine.loop)
        self.connected(transport, guest.name, connecting)
        front.front.heeds = False  # the tests say when it logs out
        return Initiator(front)

    async def create(self) -> EmulatedGuest:
        """A guest whose name no other has had."""
        return self.machine.create(next(self.names))

    def test_a_command_may_be_aborted_with_a_status(self, rig: Rig) -> None:
        """The back end does not ask which LUNs there are now: the attention would be told to it, and not to the guest."""
        rig.transport.luns_changed = lambda target: None  # type: ignore[method-assign]
        super().test_a_command_may_be_aborted_with_a_status(rig)


class TestEmulatedBehindARing(TestEmulated):
    behind_a_ring = True
