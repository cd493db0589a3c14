"""A guest that is named in two ways, and an HBA that leads to another target than before."""

import asyncio
import errno

import pytest
from tgtcore_xen import transport
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.keeping import keeper
from tgtcore_xen.options import HbaOptions, XenTargetOptions
from tgtcore_xen.vscsiif.results import Host

from tgtcore import Identity, LogicalUnit, NoOptions, Target
from tgtcore.logical_unit.identity import derived_unique_id
from tgtcore.testing.host import SmallDevice, content, read, write

pytestmark = pytest.mark.asyncio
LUN_0 = (0, 0, 0)


async def reads(front):
    """Whether a read gives what the device has."""
    for _ in range(3):
        outcome = await asyncio.wait_for(front.execute(LUN_0, read(5000), room=5000), 10)
    return outcome.data == content(5000)


@pytest.fixture
def other(site, monkeypatch):
    """Adds to a site a target "other" with a disk of its own, to which its HBA can be led."""

    def add(one):
        target = Target("other", 2, "xen", XenTargetOptions())
        lu = LogicalUnit(Identity.make("another", derived_unique_id("host", "9")), SmallDevice, None, NoOptions())
        one.host.lus.append(lu)
        target.map(0, lu)
        find = one.host.find_target
        monkeypatch.setattr(one.host, "find_target", lambda name: target if name == "other" else find(name))
        return target, lu.device

    return add


def lead_elsewhere(one, monkeypatch):
    """Have options say from now on that the HBA leads to the other target."""
    options = one.options
    portals = (HbaOptions(address="web1/0", target="other"),)
    monkeypatch.setattr(one, "options", lambda *hbas: options(*hbas).model_copy(update={"portals": portals}))


# ---- a guest by two names ------------------------------------------------------------------------------------------------


async def test_an_hba_by_a_second_name_of_the_guest_leaves_the_first_alone(site, caplog):
    async with site("web1/0") as one:
        front = await one.connected(guest := one.guest())
        by_uuid, by_domid = f"{guest.uuid}/0", f"{guest.domid}/0"
        await one.attach("web1/0", by_uuid, by_domid)
        for second in (by_uuid, by_domid):
            shown = one.shown(second)
            assert (shown["state"], shown["refused"]) == ("refused", "guest web1 has virtual HBA 0 already, as web1/0")
            assert f"virtual HBA {second}: guest web1 has virtual HBA 0 already, as web1/0" in caplog.text
        await one.attach("web1/0")
        await one.until(lambda: list(one.transport.statistics()["hbas"]) == ["web1/0"])
        assert (one.shown()["state"], one.shown()["sessions"], one.back("state", guest)) == ("connected", 1, "4")
        assert await reads(front)


async def test_the_second_name_counts_once_the_first_is_detached(site):
    async with site("web1/0") as one:
        guest = one.guest()
        by_uuid = f"{guest.uuid}/0"
        front = await one.connected(guest)
        await one.attach("web1/0", by_uuid)
        await one.attach(by_uuid)
        one.transport.ask_to_log_out(["web1/0"], 1)
        await one.until(lambda: one.shown(by_uuid)["state"] == "connected")
        assert await reads(front)
        guest.destroy()
        await one.until(lambda: one.shown(by_uuid)["state"] == "waiting for the guest")
        await one.attach("web1/0", by_uuid)
        again = one.guest()
        await one.until(lambda: one.shown()["domid"] == again.domid == one.shown(by_uuid)["domid"])
        assert sorted(one.shown(hba)["state"] for hba in ("web1/0", by_uuid)) == [
            "refused",
            "waiting for the front end",
        ]


async def test_a_store_that_refuses_a_watch_keeps_no_other_one_and_no_claim(site, monkeypatch):
    async with site() as one:
        guest = one.guest()
        await one.attach()
        watches = one.machine.in_use().watches
        store = one.transport._around.machine.store
        watch = store.watch

        async def refuses(path, told):
            if path == f"{guest.home}/device/vscsi/0":
                raise OSError(errno.EACCES, "the store refuses")
            return await watch(path, told)

        monkeypatch.setattr(store, "watch", refuses)
        monkeypatch.setattr(keeper, "_AGAIN_S", 0.02)
        monkeypatch.setattr(transport, "_READY_S", 0.02)
        await one.attach("web1/0")
        assert one.keeper.looking.store_fails
        assert (one.machine.in_use().watches, one.transport._around.places) == (watches, {})
        monkeypatch.setattr(store, "watch", watch)
        await one.connected(guest)


# ---- another target --------------------------------------------------------------------------------------------------------


async def test_one_that_leads_elsewhere_is_let_go_of_first(site, other, monkeypatch):
    async with site("web1/0") as one:
        target, _ = other(one)
        front = await one.connected(one.guest())
        lead_elsewhere(one, monkeypatch)
        await one.attach("web1/0")
        await one.until(lambda: [session.target for session in one.transport.sessions()] == [target.name])
        await front.until(lambda: front.state == 4 and list(front.devices.values()) == [LUN_0])
        assert await reads(front)


async def test_what_waits_in_the_ring_is_not_done_to_the_disk_of_another_target(site, other, monkeypatch):
    """The configuration was changed while no daemon was there: what the guest has sent is for the disk that it knows."""
    async with site("web1/0") as one:
        target, device = other(one)
        front = await one.connected(one.guest())
        await one.stop()
        pending = await front.begin(LUN_0, write(4096), data_out=b"x" * 4096)
        lead_elsewhere(one, monkeypatch)
        await one.start()
        await one.until(lambda: [session.target for session in one.transport.sessions()] == [target.name])
        await front.until(lambda: front.state == 4)
        assert device.written == one.host.device(0).written == b""
        assert pending.done.result().host == Host.NO_CONNECT
        assert await reads(front)


async def test_whose_target_can_not_be_noted_is_not_served(site, monkeypatch):
    monkeypatch.setattr(keeper, "_AGAIN_S", 0.02)
    async with site("web1/0") as one:
        one.machine.faults.refuses = lambda operation, path: (
            errno.ENOSPC if operation == "write" and path.endswith("/target") else 0
        )
        guest = one.guest()
        await one.until(lambda: one.keeper.observed.there)
        FrontEnd(guest).start()
        await one.until(lambda: one.keeper.looking.store_fails)
        assert one.transport.sessions() == one.target.nexuses == []
        one.machine.faults.refuses = lambda operation, path: 0
        await one.until(lambda: one.is_settled())
        assert one.back("target", guest) == "disks"


# ---- another disk at the same address -----------------------------------------------------------------------------------------


async def swapped(one, front, old, written):
    """The guest has the other disk now: nothing that it wrote before has come to that."""
    await front.until(lambda: old not in front.devices and list(front.devices.values()) == [LUN_0])
    await one.until(lambda: one.is_settled())
    assert (one.host.device(0).written, one.host.device(1).written) == (written, b"")
    await front.execute(LUN_0, write(512), data_out=b"b" * 512)
    while (await front.execute(LUN_0, write(512), data_out=b"b" * 512)).status:
        continue
    assert (one.host.device(0).written, one.host.device(1).written) == (written, b"b" * 512)


async def test_a_virtual_device_that_is_another_lun_is_let_go_of_first(site):
    async with site("web1/0") as one:
        one.target.options = XenTargetOptions(devices={"0:0:0:0": 0})
        front = await one.connected(one.guest())
        (old,) = front.devices
        while (await front.execute(LUN_0, write(512), data_out=b"a" * 512)).status:
            continue
        remove = front._remove_devices

        async def write_back():
            """As a guest does that has caches of a disk which goes."""
            if old in front.devices:
                await front.execute(LUN_0, write(512), data_out=b"c" * 512)
            await remove()

        front._remove_devices = write_back
        one.target.options = XenTargetOptions(devices={"0:0:0:0": 1})
        await swapped(one, front, old, b"c" * 512)


@pytest.mark.parametrize("devices", [{"0:0:0:0": 1}, {"0:0:0:7": 1}])
async def test_who_does_not_let_go_reaches_nothing_any_more(site, devices):
    async with site("web1/0", close_s=0.2) as one:
        one.target.options = XenTargetOptions(devices={"0:0:0:0": 0})
        guest = one.guest()
        front = await one.connected(guest)
        while (await front.execute(LUN_0, write(512), data_out=b"a" * 512)).status:
            continue

        async def keep():
            """Heed nothing."""

        front._remove_devices = front._switch = lambda *_: keep()
        one.target.options = XenTargetOptions(devices=devices)
        await one.until(lambda: one.back("state", guest) == "7")
        outcome = await front.execute(LUN_0, write(512), data_out=b"c" * 512)
        while outcome.host == Host.OK:
            assert one.host.device(0).written == b"c" * 512
            outcome = await front.execute(LUN_0, write(512), data_out=b"c" * 512)
        assert (outcome.host, one.host.device(1).written) == (Host.NO_CONNECT, b"")


async def test_what_waits_in_the_ring_is_done_to_the_lun_that_the_guest_knows(site):
    """The devices were changed while no daemon was there."""
    async with site("web1/0") as one:
        one.target.options = XenTargetOptions(devices={"0:0:0:0": 0})
        front = await one.connected(one.guest())
        (old,) = front.devices
        await one.stop()
        pending = await front.begin(LUN_0, write(512), data_out=b"c" * 512)
        one.target.options = XenTargetOptions(devices={"0:0:0:0": 1})
        await one.start()
        assert (await pending.done).status == 0
        assert (one.host.device(0).written, one.host.device(1).written) == (b"c" * 512, b"")
        await swapped(one, front, old, b"c" * 512)


# ---- journals ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_held", [True, False])
async def test_no_journal_stays_of_a_guest_that_goes_while_nobody_serves_it(site, is_held):
    """While its target is drained, or no daemon is there."""
    async with site("web1/0", "web2/0") as one:
        await one.connected(guest := one.guest())
        await one.connected(one.guest("web2"))
        (one.journal / "notes").mkdir()
        if is_held:
            one.target.drained = True
            one.target.leases.shut()
            await one.transport.drop_session("web1/0")
            assert len(list(one.journal.iterdir())) == 3
            guest.destroy()
            await one.until(lambda: one.shown()["state"] == "waiting for the guest")
        else:
            await one.stop()
            guest.destroy()
            await one.start()
        assert len(list(one.journal.iterdir())) == 2
        if not is_held:
            await one.until(lambda: one.is_settled("web2/0"))
            assert one.shown("web2/0")["lost"] == 0
