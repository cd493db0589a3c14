"""Virtual HBAs through everything that guests, tools, targets and daemons do."""

import asyncio
import errno
import gc
import weakref

import pytest
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.frontend.srp import SrpFrontEnd
from tgtcore_xen.hba.connection import Connection
from tgtcore_xen.keeping import keeper, wishes
from tgtcore_xen.keeping.nodes import Nodes
from tgtcore_xen.keeping.session import Session
from tgtcore_xen.options import XenTargetOptions
from tgtcore_xen.vscsiif.layout import Act
from tgtcore_xen.vscsiif.results import Host

from tgtcore import Draining
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write

pytestmark = pytest.mark.asyncio
LUN_0 = (0, 0, 0)


async def works(front, address=LUN_0):
    outcome = await asyncio.wait_for(front.execute(address, read(5000), room=5000), 10)
    while outcome.status == Status.CHECK_CONDITION and outcome.sense[2] == SenseKey.UNIT_ATTENTION:
        outcome = await asyncio.wait_for(front.execute(address, read(5000), room=5000), 10)
    assert (outcome.host, outcome.status, outcome.data) == (Host.OK, Status.GOOD, content(5000))


async def held(site, front):
    """A command that goes on until its device releases it."""
    pending = await front.begin(LUN_0, HELD)
    await site.until(lambda: site.host.device(0).held)
    return pending


# ---- guests come and go ------------------------------------------------------------------------------------------------


async def test_an_hba_waits_for_its_guest(site):
    async with site("web1/0") as one:
        assert one.shown()["state"] == "waiting for the guest"
        guest = one.guest(paused=True)
        await one.until(lambda: one.shown()["front_end"] == "initialising")
        assert (one.back("state", guest), one.store(f"{guest.home}/device/vscsi/0/state")) == ("2", "1")
        assert one.shown()["state"] == "waiting for the front end"
        guest.unpause()
        front = await one.connected(guest)
        assert sorted(front.devices.values()) == [(0, 0, 0), (0, 0, 1)]
        await works(front)
        shown = one.shown()
        assert (shown["state"], shown["front_end"]) == ("connected", "connected")
        assert shown["devices"] == {"0:0:0:0": "connected / connected", "0:0:0:1": "connected / connected"}
        (session,) = one.transport.sessions()
        assert (session.id, session.initiator, session.address) == ("web1/0", "web1", "domain 1")


@pytest.mark.parametrize("by", ["name", "uuid", "domid"])
async def test_a_guest_by_each_of_its_names(site, by):
    async with site() as one:
        guest = one.guest()
        await one.attach(f"{getattr(guest, by)}/0")
        front = FrontEnd(guest)
        await front.connect()
        await works(front)


async def test_nodes_are_written_when_attaching_returns(site):
    async with site() as one:
        guest = one.guest()
        await one.attach("web1/0", "web1/3", "gone/0")
        assert (one.back("state", guest), one.back("state", guest, 3)) == ("2", "2")
        assert [portal.address for portal in one.transport.portals()] == ["web1/0", "web1/3", "gone/0"]


async def test_nodes_are_there_all_at_once(site):
    """A guest that goes on just then looks at them once."""
    async with site() as one:
        guest, seen = one.guest(), []

        def refuses(operation, path):
            if operation == "write":
                seen.append(one.machine.server.tree.nodes.keys() & {f"{guest.home}/device/vscsi/0/backend"})
            return 0

        one.machine.faults.refuses = refuses
        await one.attach("web1/0")
        assert len(seen) > 1
        assert not any(seen)


async def test_nodes_are_written_when_attaching_what_has_waited_returns(site):
    async with site("web1/0") as one:
        for _ in range(3):
            guest = one.guest()
            await one.attach("web1/0")
            assert one.back("state", guest) == "2"
            assert one.shown()["domid"] == guest.domid
            guest.destroy()


async def test_each_end_writes_its_own_nodes_and_reads_the_others(site):
    """And no other guest has any right."""
    async with site("web1/0") as one:
        guest = one.guest()
        one.guest("web2")
        await one.connected(guest)
        tree = one.machine.server.tree
        for end, rights in (("back", ["n0", f"r{guest.domid}"]), ("front", [f"n{guest.domid}", "r0"])):
            top = f"/local/domain/0/backend/vscsi/{guest.domid}/0" if end == "back" else f"{guest.home}/device/vscsi/0"
            found = {path: tree.permissions(0, path).build() for path in tree.nodes if f"{path}/".startswith(f"{top}/")}
            assert {f"{top}/state", f"{top}/vscsi-devs/dev-1/state"} < found.keys()
            assert dict.fromkeys(found, rights) == found


async def test_a_guest_whose_nodes_stay_when_it_is_gone(site):
    """As where the tools have died before they came to that: the hypervisor tells, and nobody else."""
    async with site("web1/0") as one:
        guest = one.guest()
        before = one.machine.in_use()
        await one.connected(guest)
        guest.destroy(leaves_nodes=True)
        assert one.store(f"{guest.home}/name") == "web1"
        await one.until(lambda: one.shown()["state"] == "waiting for the guest")
        assert one.store(f"/local/domain/0/backend/vscsi/{guest.domid}/0/state") is None
        after = one.machine.in_use()
        assert (after.mapped, after.bound) == (before.mapped, before.bound)
        assert list(one.journal.iterdir()) == []


async def test_a_guest_that_is_destroyed_in_the_middle(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        pending = await held(one, front)
        guest.destroy()
        await one.until(lambda: one.target.nexuses[0].leases.draining)
        one.host.device(0).release()
        await one.until(lambda: one.shown()["state"] == "waiting for the guest")
        assert one.store(f"/local/domain/0/backend/vscsi/{guest.domid}/0/state") is None
        assert isinstance(pending.done.exception(), ConnectionError)
        assert list(one.journal.iterdir()) == []
        await works(await one.connected(one.guest()))


async def test_a_guest_that_is_suspended_and_goes_on(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        guest.suspend()
        waiting = asyncio.create_task(front.execute(LUN_0, read(512), room=512))
        guest.resume()
        assert (await waiting).host == Host.OK
        await one.until(lambda: one.shown()["sessions"] == 2 and front.queue is not None)
        await front.until(lambda: front.state == 4)
        await works(front)


async def test_a_guest_that_connects_again_and_again_fills_no_log(site, monkeypatch, caplog):
    monkeypatch.setattr("tgtcore_xen.hba.management.FUNCTIONS_LOGGED_MAX", 2)
    monkeypatch.setattr("tgtcore_xen.hba.commands.COMPLAINTS_LOGGED_MAX", 2)
    caplog.set_level("INFO")

    def said():
        return [
            record.name.rpartition(".")[2]
            for record in caplog.records
            if record.message.startswith(("virtual HBA web1/0: ABORT", "virtual HBA web1/0: request"))
        ]

    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        for sessions in range(1, 4):
            await one.until(lambda sessions=sessions: one.shown()["sessions"] == sessions and one.is_settled())
            await front.until(lambda: front.state == 4 and front.queue is not None)
            await front.queue.manage(Act.ABORT, LUN_0, 7).done
            await front.queue.manage(9, LUN_0, 7).done
            guest.suspend()
            guest.resume()
        assert said() == ["management", "commands"] * 2
        guest.destroy()
        front = await one.connected(one.guest())
        await front.queue.manage(Act.ABORT, LUN_0, 7).done
        assert said()[4:] == ["management"], "it is another guest"


async def test_a_guest_that_is_suspended_and_goes_on_in_place(site):
    """As after a checkpoint: its front end is paused, and is told nothing but by the back end."""
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        ring = one.store(f"{guest.home}/device/vscsi/0/ring-ref")
        for _ in range(3):
            guest.suspend()
            waiting = asyncio.create_task(front.execute(LUN_0, read(512), room=512))
            await asyncio.sleep(0.01)
            guest.unpause()
            assert (await asyncio.wait_for(waiting, 10)).host == Host.OK
        await works(front)
        assert one.shown()["sessions"] == 1
        assert one.store(f"{guest.home}/device/vscsi/0/ring-ref") == ring


async def test_a_guest_that_went_on_in_place_while_no_daemon_served(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        await one.kill()
        guest.suspend()
        guest.unpause()
        await one.start()
        await works(front)
        assert one.shown()["sessions"] == 1


async def test_a_guest_that_migrates(site):
    """It finds its nodes when it goes on, although it has not got its name so far."""
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        before = one.transport.sessions()[0].nexus.initiator_port
        old = guest.domid
        guest.migrate()
        await one.until(lambda: one.is_ready(guest))
        assert one.shown()["guest"] == "web1--incoming"
        guest.resume()
        await one.until(lambda: one.shown()["domid"] == guest.domid and one.shown()["back_end"] == "connected")
        await works(front)
        assert one.transport.sessions()[0].nexus.initiator_port == before
        assert one.store(f"/local/domain/0/backend/vscsi/{old}") is None


async def test_a_guest_that_goes_on_without_nodes_never_looks_for_them_again(site):
    """What a back end has to be in time for."""
    async with site() as one:
        await one.attach("web1/0")
        front = await one.connected(guest := one.guest())
        await one.kill()
        guest.migrate()
        guest.resume()
        await one.start()
        await one.attach("web1/0")
        await one.until(lambda: one.is_ready(guest))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(front.execute(LUN_0, READY), 0.1)
        assert one.shown()["front_end"] == "initialising"


async def test_a_guest_that_loads_its_driver_again(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        await front.unload()
        await one.until(lambda: one.back("state", guest) == "2")
        assert one.target.nexuses == []
        one.machine.server.write(guest.domid, f"{guest.home}/device/vscsi/0/state", b"1")
        await works(await one.connected(guest))


async def test_several_hbas_of_several_guests(site):
    async with site("web1/0", "web1/1", "web2/0") as one:
        first, second = one.guest("web1"), one.guest("web2")
        fronts = [await one.connected(*where) for where in ((first, 0), (first, 1), (second, 0))]
        ports = one.transport.target_ports(one.target)
        assert len({port.relative_id for port in ports}) == 3
        first.destroy()
        await one.until(lambda: len(one.target.nexuses) == 1)
        await works(fronts[2])


# ---- logical units come and go -------------------------------------------------------------------------------------------


async def test_logical_units_come_and_go(site):
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        one.another(9)
        await front.until(lambda: (0, 0, 9) in front.devices.values())
        await works(front, (0, 0, 9))
        one.target.unmap(0, lambda: None)
        one.transport.luns_changed(one.target)
        await front.until(lambda: (0, 0, 0) not in front.devices.values())
        await one.until(lambda: sorted(one.shown()["devices"]) == ["0:0:0:1", "0:0:0:9"])
        await one.until(lambda: one.shown()["back_end"] == "connected")
        await works(front, (0, 0, 1))


async def test_many_changes_at_once_settle(site):
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        for lun in range(10, 30):
            one.another(lun)
            await asyncio.sleep(0)
            if lun % 3:
                one.target.unmap(lun, lambda: None)
                one.transport.luns_changed(one.target)
        wanted = {0, 1, *range(12, 30, 3)}
        await front.until(lambda: {lun for _, _, lun in front.devices.values()} == wanted)


# ---- detaching ---------------------------------------------------------------------------------------------------------


async def test_a_guest_writes_back_while_it_is_detached(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        await one.attach()
        await works(front)
        assert len(one.transport.sessions()) == 1, "a session goes on when its HBA is no portal any more"
        pending = await held(one, front)
        one.transport.ask_to_log_out(["web1/0"], 1)
        await one.until(lambda: one.back("state", guest) in ("5", None))
        one.host.device(0).release()
        await one.until(lambda: not one.transport.statistics()["hbas"])
        assert one.store(f"{guest.home}/device/vscsi/0") is None
        assert pending.done.done()


async def test_a_guest_that_does_not_let_go(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        front.crash()
        await one.attach()
        one.transport.ask_to_log_out(["web1/0"], 1)
        await one.until(lambda: not one.transport.statistics()["hbas"])
        assert one.back("state", guest) is None


async def test_a_guest_that_is_given_more_time_than_usual(site):
    async with site("web1/0", close_s=0) as one:
        front = await one.connected(guest := one.guest())
        front.crash()
        await one.attach()
        one.transport.ask_to_log_out(["web1/0"], 600)
        await one.until(lambda: one.back("state", guest) == "5")
        assert one.transport.sessions(), "it is served while it lets go"
        await one.transport.drop_session("web1/0")
        await one.until(lambda: one.back("state", guest) is None)


async def test_whose_nodes_vanish_is_not_served_until_there_are_others(site):
    """They had been removed a moment before, and somebody else has made those that the guest uses."""
    async with site("web1/0") as one:
        await one.connected(guest := one.guest())
        loop = asyncio.get_running_loop()
        one.keeper._make_at = made_at = loop.time() + 0.5
        for end in (f"/local/domain/0/backend/vscsi/{guest.domid}", f"{guest.home}/device/vscsi"):
            one.machine.server.remove(0, end)
        await one.until(lambda: not one.transport.sessions())
        assert (loop.time() < made_at, one.back("state", guest)) == (True, None)
        await one.until(lambda: one.shown()["sessions"] == 2 and one.is_settled())
        assert loop.time() >= made_at


async def test_who_is_sent_away_is_answered_so_that_it_can_let_go(site):
    """A guest does not let go of a disk while a command of it has no answer, and sends others while it does."""
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        running, told = await held(one, front), []

        async def write_back():
            told.append((await running.done).host)
            told.append((await front.execute(LUN_0, READY)).host)

        front.lets_go = write_back
        dropping = asyncio.ensure_future(one.transport.drop_session("web1/0"))
        await one.until(lambda: not one.transport.sessions())
        one.host.device(0).release()
        assert await dropping
        assert one.target.nexuses == [], "its commands have ended, and it may still have the ring"
        await one.until(lambda: told == [Host.NO_CONNECT] * 2)
        await one.until(lambda: one.transport.sessions() and one.is_settled())
        assert (front.state, one.back("state", guest)) == (4, "4")


async def test_who_is_sent_away_before_it_is_served_is_answered_too(site, monkeypatch):
    """It is found by a new daemon, which still asks for its logical units."""
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        await one.stop()
        waits = await front.begin(LUN_0, READY)
        front.lets_go = lambda: waits.done
        asked, told = asyncio.Event(), asyncio.Event()

        async def reported(self):
            asked.set()
            await told.wait()

        with monkeypatch.context() as patch:
            patch.setattr("tgtcore_xen.keeping.session.Session._reported", reported)
            starting = asyncio.ensure_future(one.start())
            await asyncio.wait_for(asked.wait(), 10)
            await one.transport.drop_session("web1/0")
        told.set()
        await starting
        await one.until(lambda: waits.done.done() and one.transport.sessions() and one.is_settled())
        assert waits.done.result().host == Host.NO_CONNECT


async def test_who_is_sent_away_while_its_logical_units_are_told_is_answered_that_nothing_is_there(site, monkeypatch):
    """Not that somebody is busy, so that it asks again and again."""
    async with site("web1/0", close_s=3) as one:
        front = await one.connected(one.guest())
        told, dropping, reported = [], [], Session._reported

        async def lets_go():
            told.append((await front.execute(LUN_0, READY)).host)

        async def reported_and_then(self):
            luns = await reported(self)
            if not dropping:
                dropping.append(asyncio.ensure_future(one.transport.drop_session("web1/0")))
                await dropping[0]
            return luns

        front.lets_go = lets_go
        monkeypatch.setattr(Session, "_reported", reported_and_then)
        one.transport.luns_changed(one.target)
        await one.until(lambda: told)
        assert told == [Host.NO_CONNECT]


async def test_what_waits_while_one_is_held_is_answered_when_it_is_detached(site, monkeypatch):
    monkeypatch.setattr("tgtcore_xen.keeping.wishes.LETS_GO_S", 10.0)
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        one.target.drained = True
        one.target.leases.shut()
        await one.transport.drop_session("web1/0")
        waits = await front.begin(LUN_0, READY)
        front.lets_go = lambda: waits.done
        await one.attach()
        await one.until(lambda: not one.transport.statistics()["hbas"])
        assert waits.done.result().host == Host.NO_CONNECT
        assert (one.back("state", guest), front.state) == (None, 6)


async def test_one_that_is_held_can_be_detached(site):
    """Nobody serves the guest while it lets go, so it is not waited for longer than it may take."""
    async with site("web1/0") as one:
        await one.connected(guest := one.guest())
        one.target.drained = True
        one.target.leases.shut()
        await one.transport.drop_session("web1/0")
        await one.attach()
        await one.until(lambda: not one.transport.statistics()["hbas"])
        assert one.back("state", guest) is None


async def test_one_that_is_held_has_as_long_as_it_is_given_to_let_go(site):
    async with site("web1/0", close_s=600) as one:
        front = await one.connected(guest := one.guest())
        front.heeds = False
        one.target.drained = True
        one.target.leases.shut()
        await one.transport.drop_session("web1/0")
        assert await one.transport.drop_session("web1/0") is False
        await one.attach()
        await one.until(lambda: one.back("state", guest) == "5")
        assert await one.transport.drop_session("web1/0") is False
        await one.until(lambda: not one.transport.statistics()["hbas"])
        assert one.back("state", guest) is None


async def test_who_crashed_while_it_is_detached_is_not_waited_for(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        await one.stop()
        front.crash()
        one.hbas = ()
        await one.start()
        assert one.back("state", guest) == "4", "it is no HBA of ours any more"
        await one.attach("web1/0")
        await one.until(lambda: one.transport.sessions())
        await one.attach()
        one.transport.ask_to_log_out(["web1/0"], 1)
        await one.until(lambda: one.back("state", guest) is None)


async def test_a_session_that_is_removed_is_offered_anew(site):
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        assert await one.transport.drop_session("web1/0") is True
        assert await one.transport.drop_session("web1/7") is False
        await one.until(lambda: one.transport.sessions() and one.shown()["back_end"] == "connected")
        assert one.shown()["sessions"] == 2
        await works(front)


async def test_a_tool_that_closes(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        for name, value in (("online", b"0"), ("state", b"5")):
            one.machine.server.write(0, f"/local/domain/0/backend/vscsi/{guest.domid}/0/{name}", value)
        await one.until(lambda: one.back("state", guest) == "6" and not one.transport.sessions())
        await one.until(lambda: one.shown()["state"] == "closed")
        await one.attach()
        await one.until(lambda: one.back("state", guest) is None)
        await one.attach("web1/0")
        await one.until(lambda: one.shown()["back_end"] == "connected")
        await works(front)


async def test_a_daemon_that_starts_anew_offers_again_what_a_tool_has_closed(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        for name, value in (("online", b"0"), ("state", b"5")):
            one.machine.server.write(0, f"/local/domain/0/backend/vscsi/{guest.domid}/0/{name}", value)
        await one.until(lambda: one.shown()["state"] == "closed")
        await one.stop()
        await one.start()
        await one.until(lambda: one.transport.sessions() and one.is_settled())
        await works(front)


async def test_who_asks_while_it_is_looked_at_is_heard(site, monkeypatch):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        look, asked = Nodes.read, []

        async def read_and_then(nodes):
            observed = await look(nodes)
            if not asked:
                asked.append(one.back("state", guest))
                for name, value in (("online", b"0"), ("state", b"5")):
                    one.machine.server.write(0, f"/local/domain/0/backend/vscsi/{guest.domid}/0/{name}", value)
                one.keeper.renew()
            return observed

        monkeypatch.setattr(Nodes, "read", read_and_then)
        one.keeper.wake()
        await one.until(lambda: asked and one.shown()["sessions"] == 2 and one.is_settled())
        assert asked == ["4"]
        await works(front)


async def test_many_rounds_leave_nothing(site):
    async with site() as one:
        watches = one.machine.in_use().watches
        front = FrontEnd(guest := one.guest())
        front.start()
        await one.until(lambda: one.machine.in_use().watches > watches)  # for the guest
        before = one.machine.in_use()
        for _ in range(20):
            await one.attach("web1/0")
            await one.until(lambda: one.shown()["back_end"] == "connected")
            await one.attach()
            one.transport.ask_to_log_out(["web1/0"], 1)
            keeper = one.keeper
            await one.until(lambda keeper=keeper: keeper.over)
        await one.until(lambda: one.machine.in_use()._replace(nodes=0) == before._replace(nodes=0))
        assert guest.granted == 0
        assert list(one.journal.iterdir()) == []


# ---- only a delay ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_daemon_that_comes_back_is_only_a_delay(site, way):
    """What the guest waits for is done by the next daemon; nodes and states stay as they were."""
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        ring = one.store(f"{guest.home}/device/vscsi/0/ring-ref")
        pending = await held(one, front)
        ending = asyncio.ensure_future(getattr(one, way)())
        await asyncio.sleep(0.02)
        one.host.device(0).release()
        await ending
        assert (one.back("state", guest), front.state) == ("4", 4)
        later = await front.begin((0, 0, 1), read(512), room=512)
        await one.start()
        await one.until(lambda: one.host.device(0).held)
        one.host.device(0).release()
        assert (await asyncio.wait_for(pending.done, 10)).status == Status.GOOD
        assert (await asyncio.wait_for(later.done, 10)).data == content(512)
        assert one.store(f"{guest.home}/device/vscsi/0/ring-ref") == ring
        await works(front)


@pytest.mark.parametrize("spoilt", ["missing", "empty", "truncated", "of another guest", "a folder"])
async def test_a_journal_that_does_not_tell_what_was_under_way(site, spoilt, caplog):
    """Nothing is done twice, and the guest gets back what it waits for when it asks for that."""
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        pending = await held(one, front)
        await one.kill()
        one.host.device(0).release()
        (path,) = one.journal.iterdir()
        whole = path.read_bytes()
        path.unlink()
        if spoilt == "a folder":
            path.mkdir()
        elif spoilt != "missing":
            other = whole.replace(guest.uuid.encode(), b"00000000-0000-4000-8000-000000000000", 1)
            path.write_bytes({"empty": b"", "truncated": whole[:4096], "of another guest": other}[spoilt])
        later = await front.begin((0, 0, 1), read(512), room=512)
        await one.start()
        if spoilt == "a folder":
            await one.until(lambda: one.shown()["state"] == "trying again")
            assert (one.back("state", guest), one.host.device(0).held) == ("4", []), "nothing is guessed"
            path.rmdir()
        assert (await asyncio.wait_for(later.done, 10)).data == content(512)
        assert one.host.device(0).held == []
        said = "requests that were under way and that no journal knows: 1; each ends when the guest aborts it"
        assert f"virtual HBA web1/0: {said}" in caplog.text
        error = f"/local/domain/0/error/backend/vscsi/{guest.domid}/0/error"
        await one.until(lambda: one.store(error) == said)
        assert one.shown()["lost"] == 1
        assert await front.abort(pending)
        assert (await asyncio.wait_for(pending.done, 10)).host == Host.ABORT
        assert one.shown()["lost"] == 0
        await works(front)


async def test_a_journal_for_which_there_is_no_room(site, monkeypatch):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        pending = await held(one, front)
        await one.kill()
        one.host.device(0).release()
        for path in one.journal.iterdir():
            path.unlink()

        def full(*_):
            raise OSError(errno.ENOSPC, "as the test wants")

        monkeypatch.setattr(keeper, "_PASSES_S", 0.01)
        monkeypatch.setattr(keeper, "_AGAIN_S", 0.02)
        with monkeypatch.context() as patch:
            patch.setattr("os.posix_fallocate", full)
            await one.start()
            await one.until(lambda: one.shown()["state"] == "refused")
            said = "its journal can't be used: [Errno 28] as the test wants"
            assert one.shown()["refused"] == said
            error = f"/local/domain/0/error/backend/vscsi/{guest.domid}/0/error"
            await one.until(lambda: one.store(error) == said and one.back("state", guest) == "6")
            await asyncio.sleep(0.05)
            assert (one.store(error), one.back("state", guest)) == (said, "6"), "it stays there to be read"
            assert list(one.journal.iterdir()) == []
        assert one.target.nexuses == []
        assert not pending.done.done() or pending.done.exception()


@pytest.mark.parametrize("moment", range(12))
async def test_a_daemon_that_is_killed_in_the_middle_of_a_handshake(site, moment):
    async with site("web1/0") as one:
        guest = one.guest()
        front = FrontEnd(guest)
        front.start()
        for _ in range(moment * 6):
            await asyncio.sleep(0)
        await one.kill()
        await one.start()
        await front.until(lambda: front.state == 4 and len(front.devices) == 2)
        await one.until(lambda: one.shown()["back_end"] == "connected")
        await works(front)


async def test_a_target_that_is_drained_is_only_a_delay(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        one.target.drained = True
        one.target.leases.shut()
        one.transport.ask_to_log_out(["web1/0"], 1)
        await works(front)
        await one.transport.drop_session("web1/0")
        waits = await front.begin(LUN_0, READY)
        await one.until(lambda: one.shown()["state"] == "held")
        assert (one.back("state", guest), front.state) == ("4", 4)
        one.target.drained = False
        one.target.leases.open()
        assert (await asyncio.wait_for(waits.done, 10)).status == Status.GOOD


async def test_a_target_that_is_removed_takes_its_hbas_along(site):
    async with site("web1/0") as one:
        await one.connected(guest := one.guest())
        one.target.leases.shut()
        one.transport.ask_to_log_out(["web1/0"], 1)
        await one.transport.drop_target(one.target)
        await one.until(lambda: one.back("state", guest) is None)
        assert one.shown()["state"] == "leads nowhere"


async def test_a_target_that_comes_back_while_its_guest_lets_go(site, monkeypatch):
    """What has begun goes on to its end: the guest that closes gets it anew."""
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        write_node = Nodes.write

        async def write_and_then(nodes, name, value):
            await write_node(nodes, name, value)
            if (name, value) == ("online", "0"):
                one.target.leases.open()

        monkeypatch.setattr(Nodes, "write", write_and_then)
        await one.transport.stop_listening()
        await one.transport.drop_session("web1/0")
        one.target.leases.shut()
        await one.transport.start()
        await one.until(lambda: one.shown()["sessions"] == 3 and one.is_settled())  # the second is for closing
        await works(front)


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_transport_that_is_removed_leaves_no_guest_waiting(site, at_once, monkeypatch):
    """It was drained, and then its target was removed, and then it is: nobody else is going to serve them."""
    async with site("web1/0") as one:
        await one.connected(guest := one.guest())
        await one.transport.stop_listening()
        await one.transport.drop_session("web1/0")
        await one.until(lambda: one.shown()["state"] == "held")
        assert one.back("state", guest) == "4"
        monkeypatch.setattr(one.host, "find_target", lambda name: None)
        if not at_once:
            await one.until(lambda: one.back("state", guest) is None)
            assert one.shown()["state"] == "leads nowhere"
        await one.stop()
        assert one.back("state", guest) is None
        assert one.store(f"{guest.home}/device/vscsi/0/state") is None


async def test_a_transport_that_is_removed_waits_no_longer_than_usual_for_a_guest_that_does_not_let_go(
    site, monkeypatch
):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        front.heeds = False
        await one.transport.stop_listening()
        await one.transport.drop_session("web1/0")
        monkeypatch.setattr(one.host, "find_target", lambda name: None)
        await one.stop()
        assert (one.back("state", guest), one.store(f"{guest.home}/device/vscsi/0/state")) == (None, None)


async def test_a_store_that_fails_does_not_keep_a_transport(site, monkeypatch):
    monkeypatch.setattr(keeper, "_VANISH_S", 0.05)
    async with site("web1/0") as one:
        await one.connected(guest := one.guest())
        await one.transport.stop_listening()
        await one.transport.drop_session("web1/0")
        await one.until(lambda: one.shown()["state"] == "held")
        with monkeypatch.context() as patch:
            patch.setattr(one.host, "find_target", lambda name: None)
            one.machine.faults.refuses = lambda operation, path: errno.EIO if operation == "remove" else 0
            await one.stop()
            one.machine.faults.refuses = lambda operation, path: 0
        assert one.back("state", guest) is not None


async def test_a_target_that_is_not_there_yet_costs_no_guest_its_disks(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        await one.stop()
        target, one.host.find_target = one.host.find_target, lambda name: None
        await one.start()
        assert (one.shown()["state"], one.back("state", guest)) == ("held", "4")
        one.host.find_target = target
        await works(front)


# ---- who is refused ----------------------------------------------------------------------------------------------------


async def test_a_guest_that_is_not_admitted(site, caplog):
    async with site("web1/0") as one:
        one.host.admitted = False
        front = FrontEnd(guest := one.guest())
        with pytest.raises(ConnectionRefusedError):
            await front.connect()
        await one.until(lambda: one.shown()["state"] == "refused")
        assert one.shown()["refused"] == "target disks does not admit web1"
        error = f"/local/domain/0/error/backend/vscsi/{guest.domid}/0/error"
        assert one.store(error) == "target disks does not admit web1"
        assert "virtual HBA web1/0: target disks does not admit web1" in caplog.text
        one.host.admitted = True
        one.keeper.renew()
        await one.until(lambda: one.shown()["back_end"] == "connected")
        assert one.store(error) is None
        await works(front)


@pytest.mark.parametrize(("written", "shown"), [("nvme", "nvme"), ("\x1b[2J\nnvme", r"\x1b[2J\nnvme")])
async def test_a_protocol_that_nobody_speaks(site, written, shown):
    async with site("web1/0") as one:
        front = FrontEnd(one.guest())
        front.protocol = written
        with pytest.raises(ConnectionRefusedError):
            await front.connect()
        await one.until(lambda: f'speaks protocol "{shown}", expected one of: x86_64-abi' in one.shown()["refused"])
        assert one.shown()["refused"].isprintable()


async def test_srp_on_the_ring(site):
    async with site("web1/0") as one:
        front = SrpFrontEnd(one.guest())
        await front.connect()
        await front.log_in()
        ended = await front.execute(0, read(512), room=512)
        assert bytes(ended.data[:512]) == content(512)
        assert one.shown()["protocol"] == "srp"
        one.another(9)
        await asyncio.sleep(0.05)
        response, _ = await front.execute(0, READY)
        assert parse_sense(response.sense).code == asc.REPORTED_LUNS_DATA_HAS_CHANGED, (
            "the back end has not asked before"
        )
        told = [(await front.execute(9, READY)).response.status for _ in range(3)]
        assert told == [Status.CHECK_CONDITION] * 2 + [Status.GOOD], "its reset, and again that there are other LUNs"
        assert front.devices == {}


async def test_a_ring_that_can_not_be_mapped(site):
    async with site("web1/0") as one:
        one.machine.faults.map_fails = lambda domid, reference: True
        with pytest.raises(ConnectionRefusedError):
            await FrontEnd(one.guest()).connect()
        await one.until(lambda: "its ring can't be used" in one.shown()["refused"])
        assert one.target.nexuses == []


async def test_who_finds_no_memory_is_tried_again(site, monkeypatch):
    """The configuration has less since the guests were told how large a command may be."""
    monkeypatch.setattr(wishes, "REFUSED_S", 0.3)
    monkeypatch.setattr(keeper, "_PASSES_S", 0.01)
    monkeypatch.setattr(keeper, "_AGAIN_S", 0.02)
    async with site("a/0", "b/0", sg_grant=1024, memory=16 << 20) as one:
        for name in "ab":
            await one.connected(one.guest(name))
        await one.stop()
        one.keys.update(sg_grant=128, memory=5 << 20)
        await one.start()

        def shown(what):
            return [one.shown(f"{name}/0")[what] for name in "ab"]

        await one.until(
            lambda: any("there is no memory for a command of 1024 pages" in why for why in shown("refused"))
        )
        await one.until(lambda: shown("state") == ["connected"] * 2)


async def test_who_remembers_a_refusal_keeps_nothing_of_the_guest(site):
    async with site("web1/0") as one:
        one.machine.faults.map_fails = lambda domid, reference: True
        guest = one.guest()
        await asyncio.wait([connecting := asyncio.create_task(FrontEnd(guest).connect())])
        assert isinstance(connecting.exception(), ConnectionRefusedError)
        await one.until(lambda: one.keeper.wishes.refusal)
        remembered, memory = one.keeper.wishes.refusal, weakref.ref(guest._memory)
        guest.destroy()
        await one.until(lambda: one.keeper.guest is None)
        del guest, connecting
        gc.collect()
        assert "its ring can't be used" in str(remembered)
        assert memory() is None


async def test_a_ring_that_the_last_back_end_has_still(site):
    """Its guest keeps its disks meanwhile."""
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        await one.stop()
        one.machine.faults.bind_fails = lambda domid, port: True
        await one.start()
        await one.until(lambda: one.keeper.tries_again)
        assert (one.shown()["state"], one.back("state", guest)) == ("trying again", "4")
        one.machine.faults.bind_fails = lambda domid, port: False
        await works(front)


async def test_a_guest_that_is_renamed_keeps_its_disks(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        one.machine.server.write(0, f"{guest.home}/name", b"web1--migratedaway")
        await one.until(lambda: one.shown()["guest"] == "web1--migratedaway")
        await works(front)
        assert one.shown()["sessions"] == 1
        guest.destroy()
        await one.until(lambda: one.shown()["state"] == "waiting for the guest")


async def test_a_guest_that_is_renamed_while_its_target_is_drained_keeps_its_disks(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        one.target.drained = True
        one.target.leases.shut()
        await one.transport.drop_session("web1/0")
        one.machine.server.write(0, f"{guest.home}/name", b"web1--migratedaway")
        await one.until(lambda: one.shown()["guest"] == "web1--migratedaway")
        assert (one.shown()["state"], one.back("state", guest)) == ("held", "4")
        one.target.drained = False
        one.target.leases.open()
        await works(front)


async def test_a_guest_that_is_renamed_before_it_has_a_driver_has_no_hba(site):
    async with site("web1/0") as one:
        guest = one.guest()
        await one.until(lambda: one.shown()["back_end"] == "init wait")
        one.machine.server.write(0, f"{guest.home}/name", b"other")
        await one.until(lambda: one.shown()["state"] == "waiting for the guest")
        assert one.back("state", guest) is None


async def test_devices_that_are_mapped_otherwise(site):
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        one.target.options = XenTargetOptions(devices={"0:0:5:0": 0})
        await front.until(lambda: list(front.devices.values()) == [(0, 5, 0)])
        await works(front, (0, 5, 0))
        assert (await front.execute(LUN_0, READY)).host == Host.NO_CONNECT


async def test_a_target_that_takes_nobody_for_a_moment(site):
    async with site("web1/0") as one:
        one.host.failure = Draining("as the test wants")
        front = FrontEnd(one.guest())
        front.start()
        await one.until(lambda: one.keeper.tries_again)
        one.host.failure = None
        await front.until(lambda: front.state == 4)
        await works(front)


async def test_a_target_that_does_not_answer(site, monkeypatch):
    monkeypatch.setattr("tgtcore_xen.keeping.session._ANSWER_S", 0.01)
    async with site("web1/0") as one:
        execute = Connection.execute

        async def hangs(*_):
            await asyncio.sleep(20)

        monkeypatch.setattr(Connection, "execute", hangs)
        front = FrontEnd(one.guest())
        front.start()
        await one.until(lambda: one.keeper.service.devices_stale)
        monkeypatch.setattr(Connection, "execute", execute)
        await front.until(lambda: front.state == 4 and len(front.devices) == 2)


async def test_a_guest_that_breaks_its_ring_is_cut_off_and_others_go_on(site):
    async with site("web1/0", "web2/0") as one:
        bad, good = await one.connected(one.guest("web1")), await one.connected(one.guest("web2"))
        bad.queue._page.view[0:4] = (1 << 20).to_bytes(4, "little")
        bad.queue._channel.notify()
        await one.until(lambda: "it is cut off" in one.shown()["refused"])
        await works(good)
        assert len(one.target.nexuses) == 1


async def test_who_is_attached_anew_before_its_guest_has_let_go_begins_anew(site):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        front.crash()
        one.keeper.broken("as the test wants")
        await one.until(lambda: one.back("state", guest) == "5")
        await one.attach()
        await one.until(lambda: one.keeper.wishes.leaving)
        await one.attach("web1/0")
        assert one.back("state", guest) == "5", "its guest has its time"
        await one.until(lambda: one.back("state", guest) == "2")
        assert (one.shown()["state"], one.shown()["refused"]) == ("waiting for the front end", "")


async def test_who_offers_one_ring_after_the_other_within_a_look_has_few_of_them(site, monkeypatch):
    monkeypatch.setattr(keeper, "_BURST", 20)
    monkeypatch.setattr(keeper, "_EACH_S", 1000.0)
    async with site("web1/0") as one:
        guest = one.guest()
        await one.until(lambda: one.shown()["back_end"] == "init wait")
        rings = [(guest.share(writable=True).reference, guest.listen(lambda: None).port) for _ in range(2)]
        look, looks = Nodes.read, []

        async def offer_and_read(nodes):
            looks.append(1)
            reference, port = rings[len(looks) % 2]
            for name, value in (("ring-ref", reference), ("event-channel", port), ("state", 3)):
                one.machine.server.write(guest.domid, f"{guest.home}/device/vscsi/0/{name}", str(value).encode())
            return await look(nodes)

        with monkeypatch.context() as patch:
            patch.setattr(Nodes, "read", offer_and_read)
            one.keeper.wake()
            await one.until(lambda: one.shown()["sessions"] > 20)
            await asyncio.sleep(0.2)
            assert one.shown()["sessions"] < 40


async def test_a_store_that_fails_for_a_while(site):
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        refused = []

        def refuses(operation, path):
            if path.startswith("/local/domain/0/backend"):
                refused.append(path)
                return errno.EIO
            return 0

        one.machine.faults.refuses = refuses
        one.another(9)
        await one.until(lambda: refused)
        await works(front)
        one.machine.faults.refuses = lambda operation, path: 0
        await front.until(lambda: (0, 0, 9) in front.devices.values())


@pytest.mark.parametrize("operation", ["list", "read", "remove"])
async def test_a_start_that_fails_leaves_nothing(site, operation):
    async with site() as one:
        await one.stop()
        one.machine.server.write(0, "/local/domain/0/backend/vscsi/77/0/state", b"4")
        one.machine.faults.refuses = lambda what, path: errno.EIO if what == operation else 0
        with pytest.raises(OSError, match="as was ordered"):
            await one.start()
        assert one.machine.in_use().watches == 0
        one.machine.faults.refuses = lambda what, path: 0
        await one.start()
        assert one.store("/local/domain/0/backend/vscsi/77/0/state") is None


async def test_another_machine_is_refused(site):
    async with site("web1/0") as one:
        with pytest.raises(OSError, match="can't be changed while the transport runs"):
            await one.transport.apply_options(one.options(emulated={"machine": "other"}))
        assert one.shown()["state"] == "waiting for the guest"


async def test_what_was_left_of_a_guest_that_is_gone(site):
    async with site("web1/0") as one:
        guest = one.guest()
        await one.connected(guest)
        await one.kill()
        guest.destroy()
        assert one.back("state", guest) == "4"
        await one.start()
        assert one.store(f"/local/domain/0/backend/vscsi/{guest.domid}") is None


async def test_a_written_command_is_written(site):
    async with site("web1/0") as one:
        front = await one.connected(one.guest())
        outcome = await front.execute((0, 0, 1), write(9000), data_out=content(9000))
        assert (outcome.status, one.host.device(1).written) == (Status.GOOD, content(9000))
