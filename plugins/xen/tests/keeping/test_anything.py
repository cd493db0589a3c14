"""Anything that may happen, in any order, under I/O: what is only a delay costs no command, and the rest nothing for good."""

import asyncio
import random
from contextlib import suppress

import pytest
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.keeping import keeper
from tgtcore_xen.vscsiif.results import Host

from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.host import content, read

pytestmark = pytest.mark.asyncio
LUN_0 = (0, 0, 0)
REPEATED = (SenseKey.UNIT_ATTENTION, SenseKey.ABORTED_COMMAND)
"""What every initiator repeats a command for."""


class Reader:
    """Reads all the time, several commands at once; none may fail."""

    def __init__(self, front):
        self.front = front
        self.done = 0
        self.tasks = [asyncio.ensure_future(self._read(1 + 700 * number)) for number in range(4)]

    async def _read(self, length):
        while True:
            outcome = await self.front.execute(LUN_0, read(length), room=length)
            assert outcome.host == Host.OK, outcome
            if outcome.status == Status.CHECK_CONDITION:
                assert outcome.sense[2] in REPEATED, outcome
                continue
            assert (outcome.status, outcome.data) == (Status.GOOD, content(length))
            self.done += 1

    async def goes_on(self, site):
        """Wait until it has read a little more."""
        before = self.done
        await site.until(lambda: self.done > before + 8 or any(task.done() for task in self.tasks))
        for task in self.tasks:
            if task.done():
                await task

    async def end(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def _pause(choose):
    for _ in range(choose.randrange(60)):
        await asyncio.sleep(0)


async def stop(site, choose):
    await site.stop()
    await _pause(choose)
    await site.start()


async def kill(site, choose):
    await site.kill()
    await _pause(choose)
    await site.start()


async def drain_target(site, choose):
    site.target.drained = True
    site.target.leases.shut()
    await _pause(choose)
    site.transport.ask_to_log_out(["web1/0"], 1)
    await site.transport.drop_session("web1/0")
    await _pause(choose)
    site.target.drained = False
    site.target.leases.open()


async def drain_transport(site, choose):
    await site.transport.stop_listening()
    await _pause(choose)
    await site.transport.drop_session("web1/0")
    await _pause(choose)
    await site.transport.start()


async def other_luns(site, choose):
    lun = choose.randrange(10, 14)
    if lun in site.target.luns.luns():
        site.target.unmap(lun, lambda: None)
        site.transport.luns_changed(site.target)
    else:
        site.another(lun)
    await _pause(choose)


async def another_hba(site, choose):
    await site.attach("web1/0", "web1/1")
    await _pause(choose)
    await site.attach("web1/0")


DELAYS = [stop, kill, drain_target, drain_transport, other_luns, another_hba]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
async def test_what_is_only_a_delay(site, seed):
    choose = random.Random(seed)
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        ring = one.store(f"{guest.home}/device/vscsi/0/ring-ref")
        reader = Reader(front)
        for _ in range(12):
            for _ in range(choose.choice((1, 1, 2, 3))):
                await choose.choice(DELAYS)(one, choose)
            await reader.goes_on(one)
        luns = set(one.target.luns.luns())
        await front.until(lambda: {lun for _, _, lun in front.devices.values()} == luns)
        await one.until(one.is_settled)
        await reader.end()
        assert one.store(f"{guest.home}/device/vscsi/0/ring-ref") == ring, "it has never connected anew"


async def detach(site, choose):
    await site.attach()
    site.transport.ask_to_log_out(["web1/0"], 1)
    await _pause(choose)
    if choose.random() < 0.5:
        await site.transport.drop_session("web1/0")
    await site.attach("web1/0")


async def session_remove(site, choose):
    await site.transport.drop_session("web1/0")


async def tool_closes(site, choose):
    (guest,) = site.machine.guests.values()
    for name, value in (("online", b"0"), ("state", b"5")):
        path = f"/local/domain/0/backend/vscsi/{guest.domid}/0/{name}"
        if site.store(path) is not None:
            site.machine.server.write(0, path, value)
    await _pause(choose)
    site.keeper.renew()


async def suspend(site, choose):
    (guest,) = site.machine.guests.values()
    guest.suspend()
    await _pause(choose)
    await _goes_on(site, guest)


async def migrate(site, choose):
    (guest,) = site.machine.guests.values()
    guest.migrate()
    await _goes_on(site, guest)


async def _goes_on(site, guest):
    """As soon as it has its nodes."""
    await site.until(lambda: site.is_ready(guest))
    guest.resume()


async def nodes_go(site, choose):
    (guest,) = site.machine.guests.values()
    path = choose.choice((f"{guest.home}/device/vscsi/0", f"/local/domain/0/backend/vscsi/{guest.domid}"))
    with suppress(FileNotFoundError):
        site.machine.server.remove(0, path)


async def target_goes(site, choose):
    site.target.leases.shut()
    await site.transport.drop_target(site.target)
    await _pause(choose)
    site.target.leases.open()


BREAKS = [detach, session_remove, tool_closes, suspend, migrate, nodes_go, target_goes]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
async def test_whatever_happens_it_is_served_in_the_end(site, seed, monkeypatch):
    monkeypatch.setattr(
        keeper, "AFRESH_S", 0.1
    )  # a busy machine may stand still for a while, and a front end must see each change
    choose = random.Random(seed)
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        for _ in range(10):
            for _ in range(choose.choice((1, 1, 2, 3))):
                event = choose.choice(DELAYS + BREAKS)
                await event(one, choose)
                await _pause(choose)
            if one.shown()["state"] == "closed":  # a daemon that began anew does not know of the tool's end
                one.keeper.renew()
            await one.until(
                lambda: front.queue is not None and front.state == 4 and one.shown()["back_end"] == "connected"
            )
            await asyncio.wait_for(_reads(front), 10)
        luns = set(one.target.luns.luns())
        await front.until(lambda: {lun for _, _, lun in front.devices.values()} == luns)


async def _reads(front: FrontEnd):
    """Once it is connected for good: what is settled may still be followed by what was wanted before."""
    while True:
        try:
            outcome = await front.execute(LUN_0, read(512), room=512)
        except ConnectionError:
            await asyncio.sleep(0.01)
            continue
        if (outcome.host, outcome.status) == (Host.OK, Status.GOOD):
            assert outcome.data == content(512)
            return
        await asyncio.sleep(0.001)
