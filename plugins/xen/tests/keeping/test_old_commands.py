"""What a guest has asked for before, and goes on: nothing is done or answered beside it."""

import asyncio

import pytest
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.keeping import keeper
from tgtcore_xen.vscsiif.results import Host

from tgtcore import NexusInUse
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY

pytestmark = pytest.mark.asyncio
LUN_0 = (0, 0, 0)
WAITS = "waiting for old commands"


async def held(site, front):
    """A command that goes on until its device releases it."""
    pending = await front.begin(LUN_0, HELD)
    await site.until(lambda: site.host.device(0).held)
    return pending


async def looked(site, often=4):
    """It has had its chances to do what it may not do."""
    for _ in range(often):
        site.keeper.wake()
        await asyncio.wait_for(site.keeper.looking.until_looked(), 10)


async def drained(site):
    """The target is drained; a session is dropped whose last command does not end."""
    site.target.drained = True
    site.target.leases.shut()
    dropping = asyncio.ensure_future(site.transport.drop_session("web1/0"))
    await site.until(lambda: not site.transport.sessions())
    return dropping


def reopen(site):
    site.target.drained = False
    site.target.leases.open()


@pytest.mark.parametrize("by", ["target", "transport"])
async def test_a_command_is_not_performed_beside_itself(site, by):
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        device, pending = one.host.device(0), await held(one, front)
        if by == "target":
            dropping = await drained(one)
            reopen(one)
        else:
            await one.transport.stop_listening()
            dropping = asyncio.ensure_future(one.transport.drop_session("web1/0"))
            await one.until(lambda: not one.transport.sessions())
            await one.transport.start()
        await looked(one)
        assert (len(device.held), len(one.target.nexuses), one.shown()["state"]) == (1, 1, WAITS)
        assert (front.state, pending.done.done()) == (4, False)
        first = device.held[0]
        device.release()
        await one.until(lambda: device.held)
        assert (device.held[0] is first, dropping.done(), one.shown()["state"]) == (False, True, "connected")
        device.release()
        assert (await asyncio.wait_for(pending.done, 10)).status == Status.GOOD


async def test_a_command_is_not_answered_while_it_runs(site):
    """The HBA is detached while it is drained, and the last command goes on for longer than the guest has to let go."""
    async with site("web1/0", close_s=0) as one:
        front = await one.connected(guest := one.guest())
        pending = await held(one, front)
        dropping = await drained(one)
        front.lets_go = lambda: pending.done
        await one.attach()
        await looked(one)
        await asyncio.sleep(0.25)  # in which it would be taken from a guest that does not let go
        await looked(one)
        assert (one.back("state", guest), pending.done.done(), one.shown()["state"]) == ("4", False, WAITS)
        one.host.device(0).release()
        await one.until(lambda: not one.transport.statistics()["hbas"])
        assert (pending.done.result().host, one.back("state", guest)) == (Host.NO_CONNECT, None)
        await dropping


async def test_who_is_cut_off_begins_anew_when_its_last_command_has_ended(site):
    """The journal of the next connection is not removed by the end of this one, nor its ring left behind."""
    async with site("web1/0") as one:
        await held(one, await one.connected(guest := one.guest()))
        one.keeper.broken("as the test wants")
        await one.until(lambda: not one.transport.sessions())
        old = one.keeper
        await one.attach()
        await looked(one)
        assert (old.over, guest.mapped) == (False, 1)
        one.host.device(0).release()
        await one.until(lambda: old.over)
        error = f"/local/domain/0/error/backend/vscsi/{guest.domid}/0/error"
        assert (list(one.journal.iterdir()), guest.mapped, one.store(error)) == ([], 0, None)
        await one.attach("web1/0")
        await one.until(lambda: one.transport.sessions() and one.is_settled())
        assert len(list(one.journal.iterdir())) == 1


async def test_who_is_offered_anew_while_it_is_cut_off_is_not_refused_again(site):
    async with site("web1/0") as one:
        await held(one, await one.connected(guest := one.guest()))
        one.keeper.broken("as the test wants")
        await one.until(lambda: one.back("state", guest) == "6")
        one.keeper.renew()
        await looked(one)
        assert (one.shown()["state"], one.back("state", guest)) == (WAITS, "6")
        one.host.device(0).release()
        await one.until(lambda: one.shown()["sessions"] == 2 and one.is_settled())
        assert (one.shown()["refused"], one.shown()["lost"]) == ("", 0)


async def test_the_ring_of_a_guest_that_is_gone_is_let_go_of_first(site):
    async with site("web1/0") as one:
        await held(one, await one.connected(guest := one.guest()))
        dropping = await drained(one)
        guest.destroy()
        again = one.guest()
        await one.transport._around.guests.refresh()
        await asyncio.sleep(0.1)
        assert (one.keeper.guest.domid, guest.mapped) == (guest.domid, 1)
        one.host.device(0).release()
        await dropping
        await one.until(lambda: one.shown()["domid"] == again.domid)
        assert (guest.mapped, list(one.journal.iterdir())) == (0, [])
        reopen(one)


async def test_a_transport_that_is_removed_takes_the_nodes_when_the_last_command_has_ended(site, monkeypatch):
    monkeypatch.setattr(keeper, "_VANISH_S", 0.5)
    async with site("web1/0") as one:
        await held(one, await one.connected(guest := one.guest()))
        await one.transport.stop_listening()
        dropping = asyncio.ensure_future(one.transport.drop_session("web1/0"))
        await one.until(lambda: not one.transport.sessions())
        monkeypatch.setattr(one.host, "find_target", lambda name: None)
        transport, one.transport = one.transport, None
        closing = asyncio.ensure_future(transport.close())
        await asyncio.sleep(0.6)
        assert (one.back("state", guest), closing.done()) == ("4", False)
        one.host.device(0).release()
        await asyncio.gather(closing, dropping)
        assert (one.back("state", guest), guest.mapped) == (None, 0)


@pytest.mark.parametrize("fresh", [True, False])
async def test_commands_of_a_process_that_has_died_are_waited_for_however_long_it_takes(site, monkeypatch, fresh):
    monkeypatch.setattr(keeper, "_PASSES_S", 0.001)
    monkeypatch.setattr(keeper, "_AGAIN_S", 0.01)
    async with site("web1/0") as one:
        if fresh:
            one.host.failure = NexusInUse("as the test wants")
            front = FrontEnd(guest := one.guest())
            front.start()
        else:
            front = await one.connected(guest := one.guest())
            await one.kill()
            one.host.failure = NexusInUse("as the test wants")
            await one.start()
        await one.until(lambda: one.shown()["state"] == WAITS)
        await looked(one)
        assert (one.shown()["state"], one.back("state", guest)) == (WAITS, "2" if fresh else "4")
        one.host.failure = None
        await one.until(lambda: one.shown()["state"] == "connected" and one.is_settled())
        assert (await asyncio.wait_for(front.execute(LUN_0, READY), 10)).host == Host.OK
