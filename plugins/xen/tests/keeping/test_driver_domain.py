"""A back end in another domain than 0, which makes and removes the nodes: only what is below its own directory is written."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.platform.emulated import EmulatedXen
from tgtcore_xen.vscsiif.results import Host

from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read
from tgtcore.testing.waiting import until_async

pytestmark = pytest.mark.asyncio
LUN_0 = (0, 0, 0)
WAITS = "waiting for its nodes"


class Tools:
    """Domain 0: what contrib/xen/driver-domain does there."""

    def __init__(self, machine, domid):
        self.machine, self.domid = machine, domid
        self.store = machine.store

    def back(self, guest, number=0):
        return f"/local/domain/{self.domid}/backend/vscsi/{guest.domid}/{number}"

    @staticmethod
    def front(guest, number=0):
        return f"{guest.home}/device/vscsi/{number}"

    async def make(self, guest, number=0):
        guest.back_domid = self.domid
        back, front = self.back(guest, number), self.front(guest, number)
        for path, owner, reader in ((back, self.domid, guest.domid), (front, guest.domid, self.domid)):
            await self.store.write(path, "")
            await self.store.permit(path, (f"n{owner}", f"r{reader}"))
        ours = {"domain": guest.name, "uuid": guest.uuid, "frontend": front, "frontend-id": guest.domid, "online": 1}
        its = {"backend": back, "backend-id": self.domid}

        async def write(transaction):
            for directory, values in ((back, ours), (front, its)):
                for name, value in values.items():
                    await transaction.write(f"{directory}/{name}", str(value))
                await transaction.write(f"{directory}/state", "1")

        await self.store.transact(write)

    async def close(self, guest, number=0):
        back = self.back(guest, number)
        await self.store.write(f"{back}/online", "0")
        await self.store.write(f"{back}/state", "5")
        await until_async(lambda: self.states(guest, number)[0] == "6")

    async def remove(self, guest, number=0):
        """Also what is empty then."""
        back = self.back(guest, number)
        await self.store.remove(self.front(guest, number))
        await self.store.remove(back)
        above = back.rpartition("/")[0]
        if not await self.store.list(above):
            await self.store.remove(above)

    def read(self, path):
        try:
            return self.machine.server.read(0, path).decode()
        except FileNotFoundError:
            return None

    def states(self, guest, number=0):
        return tuple(self.read(f"{end(guest, number)}/state") for end in (self.back, self.front))

    def below(self, top):
        return [path for path in self.machine.server.tree.nodes if path.startswith(f"{top}/")]

    def in_use(self):
        """Pages, event channels and watches of the domain of the back end."""
        machine = self.machine
        mapped = sum(len(grants.mappings) for grants in machine.grants)
        return mapped, len(machine.ports.of(self.domid)), len(machine.server.watches.of(self.domid))


@pytest.fixture
def domain(site, monkeypatch):
    """Opens a site whose transport is in a driver domain, and in which everything is noted that is changed from there."""

    @asynccontextmanager
    async def open_one(*hbas):
        machine = EmulatedXen.named("lab")
        driver = machine.create("driver")
        changed = []
        for operation in ("write", "make", "remove", "permit"):
            done = getattr(machine.server, operation)

            def noted(domid, path, *more, done=done):
                if domid == driver.domid:
                    changed.append(path)
                return done(domid, path, *more)

            monkeypatch.setattr(machine.server, operation, noted)
        tools = Tools(machine, driver.domid)
        keys = {"emulated": {"machine": "lab", "domain": driver.domid}}
        async with site(*hbas, **keys) as one:
            yield one, tools
            if one.transport is not None:
                await one.stop()
        assert tools.in_use() == (0, 0, 0)
        ours = (f"{driver.home}/backend/vscsi/", f"{driver.home}/error/backend")
        assert [path for path in changed if not path.startswith(ours)] == []

    return open_one


async def works(front):
    async with asyncio.timeout(10):
        while (outcome := await front.execute(LUN_0, read(5000), room=5000)).status == Status.CHECK_CONDITION:
            pass
    assert (outcome.host, outcome.status, outcome.data) == (Host.OK, Status.GOOD, content(5000))


async def test_an_hba_waits_for_its_nodes_and_lets_go_when_a_tool_closes_them(domain):
    async with domain("web1/0") as (one, tools):
        guest = one.guest()
        idle = tools.in_use()
        assert (one.shown()["state"], one.shown()["domid"]) == (WAITS, None)
        await tools.make(guest)
        front = await one.connected(guest)
        await works(front)
        shown = one.shown()
        assert (shown["state"], shown["guest"], shown["uuid"]) == ("connected", "web1", guest.uuid)
        assert tools.in_use() > idle
        await tools.close(guest)
        assert tools.states(guest) == ("6", "6")
        assert (front.devices, one.shown()["state"]) == ({}, WAITS)
        await tools.remove(guest)
        await one.until(lambda: one.shown()["domid"] is None)
        assert (one.shown()["state"], tools.in_use()) == (WAITS, idle)
        assert tools.below(f"/local/domain/{tools.domid}/backend/vscsi") == []
        assert list(one.journal.iterdir()) == []
        await front.unload()
        await tools.make(guest)
        await works(await one.connected(guest))


async def test_a_guest_is_known_by_each_name_that_its_nodes_have(domain):
    async with domain("web1/0", "renamed/1", "4/2") as (one, tools):
        web1, other, third = (one.guest(name) for name in ("web1", "other", "third"))
        for number, guest in enumerate((web1, other, third)):
            await tools.make(guest, number)
        await one.until(lambda: one.shown("web1/0")["back_end"] and one.shown("4/2")["back_end"])
        assert one.shown("renamed/1")["state"] == WAITS
        await tools.store.write(f"{tools.back(other, 1)}/domain", "renamed")
        await one.until(lambda: one.shown("renamed/1")["back_end"] == "init wait")
        await one.attach(f"{web1.uuid.upper()}/0")
        await one.until(lambda: one.shown(f"{web1.uuid}/0")["guest"] == "web1")


@pytest.mark.parametrize("of_guest", [False, True])
async def test_nodes_that_vanish_are_let_go_of_while_another_hba_stays(domain, of_guest):
    hbas = ("web1/0",) if of_guest else ("web1/0", "web1/1")
    async with domain(*hbas) as (one, tools):
        guest = one.guest()
        for number in range(len(hbas)):
            await tools.make(guest, number)
        await one.until(lambda: one.shown(hbas[-1])["back_end"] == "init wait")
        idle = tools.in_use()
        front = await one.connected(guest)
        await front.begin(LUN_0, HELD)
        await one.until(lambda: one.host.device(0).held)
        await tools.remove(guest)
        one.host.device(0).release()
        await one.until(lambda: one.shown()["state"] == WAITS)
        await one.until(lambda: tools.in_use()[:2] == idle[:2])
        assert list(one.journal.iterdir()) == []
        await front.unload()
        await tools.make(guest)
        await works(await one.connected(guest))


async def test_a_guest_that_is_destroyed_is_let_go_of_and_tools_remove_what_is_left(domain):
    async with domain("web1/0") as (one, tools):
        guest, idle = one.guest(), tools.in_use()
        await tools.make(guest)
        await one.connected(guest)
        guest.destroy()
        await one.until(lambda: tools.in_use()[:2] == (0, 0))
        assert (one.shown()["state"], one.shown()["sessions"]) == (WAITS, 1)
        await tools.remove(guest)
        await one.until(lambda: one.shown()["domid"] is None)
        assert tools.in_use() == idle
        again = one.guest("web1")
        await tools.make(again)
        await works(await one.connected(again))


async def test_detach_leaves_closed_nodes_and_attach_waits_for_others(domain):
    async with domain("web1/0") as (one, tools):
        guest = one.guest()
        await tools.make(guest)
        front = await one.connected(guest)
        await one.attach()
        one.transport.ask_to_log_out(["web1/0"], 0)
        await one.until(lambda: "web1/0" not in one.transport.statistics()["hbas"])
        assert tools.states(guest) == ("6", "6")
        assert tools.read(f"{tools.back(guest)}/online") == "0"
        assert tools.in_use()[:2] == (0, 0)
        await one.attach("web1/0")
        assert one.shown()["state"] == WAITS
        await front.unload()
        await tools.remove(guest)
        await tools.make(guest)
        await works(await one.connected(guest))


async def test_a_daemon_that_is_killed_or_stopped_is_a_delay(domain):
    async with domain("web1/0") as (one, tools):
        guest = one.guest()
        await tools.make(guest)
        front = await one.connected(guest)
        for end in (one.kill, one.stop):
            await end()
            before = tools.states(guest)
            waiting = await front.begin(LUN_0, READY)
            await one.start()
            assert (await asyncio.wait_for(waiting.done, 10)).host == Host.OK
            await one.until(one.is_settled)
            assert tools.states(guest) == before == ("4", "4")
            await works(front)


async def test_a_session_that_is_removed_closes_and_waits_for_nodes_without_looking_again_and_again(
    domain, monkeypatch
):
    async with domain("web1/0") as (one, tools):
        guest = one.guest()
        await tools.make(guest)
        front = await one.connected(guest)
        await one.transport.drop_session("web1/0")
        await one.until(lambda: tools.states(guest) == ("6", "6") and one.shown()["state"] == WAITS)
        await _is_quiet(one, monkeypatch)
        await front.unload()
        await tools.remove(guest)
        await tools.make(guest)
        await works(await one.connected(guest))
        await one.transport.drop_target(one.target)
        await one.until(lambda: tools.states(guest) == ("6", "6"))
        await _is_quiet(one, monkeypatch)


async def _is_quiet(one, monkeypatch):
    """But for the looks at the times that a guest has to let go, 0.2 s here."""
    read, reads = one.machine.server.read, []
    monkeypatch.setattr(one.machine.server, "read", lambda *asked: reads.append(asked) or read(*asked))
    await asyncio.sleep(0.5)
    monkeypatch.setattr(one.machine.server, "read", read)
    assert len(reads) < 200


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("may_say", [True, False])
async def test_why_a_guest_is_refused_is_said_until_there_are_new_nodes(domain, may_say, alone, caplog):
    async with domain("web1/0", "web1/1") as (one, tools):
        guest = one.guest()
        if not alone:
            await tools.make(guest, 1)
        home = f"/local/domain/{tools.domid}"
        if not may_say:
            await tools.store.remove(f"{home}/error")
        one.host.admitted = False
        await tools.make(guest)
        with pytest.raises(ConnectionRefusedError):
            await FrontEnd(guest).connect()
        await one.until(lambda: one.shown()["state"] == "refused")
        said = tools.read(f"{home}/error/backend/vscsi/{guest.domid}/0/error")
        assert said == ("target disks does not admit web1" if may_say else None)
        assert "target disks does not admit web1" in caplog.text
        one.host.admitted = True
        await tools.remove(guest)
        await one.until(lambda: one.shown()["state"] == WAITS)
        assert tools.below(f"{home}/error") == []
        await tools.make(guest)
        await works(await one.connected(guest))


async def test_directories_of_others_stay_when_a_daemon_starts(domain):
    async with domain("web1/0") as (one, tools):
        await one.stop()
        being_made = f"/local/domain/{tools.domid}/backend/vscsi/99"
        await tools.store.make(being_made)
        await one.start()
        assert tools.read(being_made) == ""


async def test_domain_0_may_find_its_nodes_too(site):
    async with site("web1/0", nodes="found") as one:
        guest, tools = one.guest(), Tools(one.machine, 0)
        assert one.shown()["state"] == WAITS
        await tools.make(guest)
        await works(await one.connected(guest))
        await tools.close(guest)
        await tools.remove(guest)
        with pytest.raises(OSError, match="the nodes and the journals can't be changed"):
            await one.transport.apply_options(one.options(nodes="made"))
