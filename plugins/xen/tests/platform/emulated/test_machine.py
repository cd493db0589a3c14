"""Guests of an emulated machine: how they come, go and move, and what is in use."""

import asyncio
import errno

import pytest
from tgtcore_xen.platform.contract import INTRODUCE, RELEASE, Copy, Piece
from tgtcore_xen.platform.emulated import Emulated, EmulatedOptions, EmulatedXen, GuestState
from tgtcore_xen.platform.emulated.grants import REFERENCES_MAX

pytestmark = pytest.mark.asyncio


async def test_a_machine_is_found_by_its_name_and_loop(machine):
    assert EmulatedXen.named("tested") is machine
    assert EmulatedXen.named("other") is not machine
    loop = asyncio.new_event_loop()
    assert EmulatedXen.named("tested", loop) is not machine
    loop.close()


async def test_what_the_store_says_of_a_guest(machine):
    guest = machine.create("db", uuid="3c1b1ab2-0000-4000-8000-000000000001", paused=True)
    assert guest.state is GuestState.PAUSED
    assert machine.find("db") is guest
    assert await machine.store.read(f"/local/domain/{guest.domid}/name") == "db"
    vm = await machine.store.read(f"/local/domain/{guest.domid}/vm")
    assert vm == "/vm/3c1b1ab2-0000-4000-8000-000000000001"
    assert await machine.store.read(f"{vm}/uuid") == guest.uuid
    assert await machine.store.read(f"{vm}/name") == "db"
    guest.unpause()
    assert guest.state is GuestState.RUNNING
    assert machine.create("web").uuid == EmulatedXen(machine.loop).create("web").uuid, "made of the name"


async def test_guests_come_and_go(machine, platform, settle):
    told = []
    before = machine.in_use().nodes
    for name in (INTRODUCE, RELEASE):
        await platform.store.watch(name, told.append)
    await settle()
    told.clear()
    guest = machine.create("web1")
    await settle()
    assert told == [INTRODUCE]
    assert await platform.store.is_introduced(guest.domid)
    guest.destroy()
    guest.destroy()
    await settle()
    assert told == [INTRODUCE, RELEASE]
    assert not await platform.store.is_introduced(guest.domid)
    assert machine.find("web1") is None
    assert machine.in_use().nodes == before
    assert machine.create("web1").domid == guest.domid + 1


async def test_a_guest_that_is_destroyed_has_nothing(machine, platform, guest, settle):
    page = guest.page()
    reference = guest.grant(page)
    mapping = platform.grants.map(guest.domid, reference)
    woken = []
    end = guest.channel(lambda: woken.append("guest"))
    channel = platform.channels.bind(guest.domid, end.port, lambda: woken.append("back"))
    await guest.store.watch(guest.home, woken.append)
    await settle()
    woken.clear()
    domid = guest.domid
    guest.destroy()
    channel.notify()
    await settle()
    assert woken == []
    mapping.view[0] = page.view[1] = 5
    assert page.view[0] == mapping.view[1] == 5, "what is mapped stays"
    assert platform.grants.copy([Copy(domid, True, [Piece(reference, 0, 1)], b"x")]) == [False]
    with pytest.raises(OSError, match="grants nothing"):
        platform.grants.map(domid, reference)
    with pytest.raises(ConnectionResetError):
        await guest.store.read("/")
    assert machine.in_use()[:2] == (1, 1)
    mapping.close()
    channel.close()
    assert machine.in_use()[:2] == (0, 0)


async def test_a_guest_that_migrates(machine, platform, guest, settle):
    told, old = [], guest.domid
    reference = guest.grant(guest.page())
    guest.channel(lambda: None)
    guest.resumed.append(lambda: told.append("resumed"))
    await platform.store.watch(f"/vm/{guest.uuid}", lambda _: None)
    names = []
    await platform.store.watch(INTRODUCE, lambda _: names.append(machine.server.read(0, f"{guest.home}/name")))
    await settle()
    names.clear()
    guest.suspend()
    assert guest.state is GuestState.SUSPENDED
    domid = guest.migrate()
    assert (guest.domid, guest.state, told) == (domid, GuestState.SUSPENDED, [])
    await settle()
    assert names == [b"web1--incoming"]
    guest.resume()
    assert (guest.state, told) == (GuestState.RUNNING, ["resumed"])
    assert not await platform.store.is_introduced(old)
    assert await platform.store.is_introduced(domid)
    assert await platform.store.read(f"/local/domain/{old}/name") is None
    assert await platform.store.read(f"/local/domain/{domid}/name") == "web1"
    assert await platform.store.read(f"/vm/{guest.uuid}/uuid") == guest.uuid
    assert guest.granted == 0
    assert machine.ports.of(old) == []
    guest.revoke(reference)


async def test_a_grant_that_is_mapped_can_not_be_ended(guest, platform):
    page = guest.page()
    reference = guest.grant(page)
    mapping = platform.grants.map(guest.domid, reference)
    with pytest.raises(OSError, match="still in use") as info:
        guest.revoke(reference)
    assert info.value.errno == errno.EBUSY
    guest.revoke_later(page, reference)
    assert guest.granted == 1
    mapping.close()
    assert guest.granted == 0


async def test_a_grant_that_is_torn_while_it_is_mapped(guest, platform):
    page = guest.page()
    reference = guest.grant(page)
    mapping = platform.grants.map(guest.domid, reference)
    guest.tear(reference)
    page.view[0] = 9
    assert mapping.view[0] == 9
    assert platform.grants.copy([Copy(guest.domid, True, [Piece(reference, 0, 1)], b"x")]) == [False]
    mapping.close()


async def test_a_view_that_is_in_use_is_not_unmapped(guest, platform):
    mapping = platform.grants.map(guest.domid, guest.grant(guest.page()))
    part = mapping.view[:4]
    with pytest.raises(BufferError):
        mapping.close()
    part.release()


async def test_a_grant_for_somebody_else(machine, guest, platform):
    reference = guest.grant(guest.page(), to=machine.create("web2").domid)
    with pytest.raises(OSError, match="grants nothing"):
        platform.grants.map(guest.domid, reference)
    assert platform.grants.copy([Copy(guest.domid, True, [Piece(reference, 0, 1)], b"x")]) == [False]
    end = guest.channel(lambda: None, to=7)
    with pytest.raises(OSError, match="for domain 0 to bind"):
        platform.channels.bind(guest.domid, end.port, lambda: None)


async def test_a_piece_that_goes_on_behind_its_page(guest, platform):
    reference = guest.grant(guest.page())
    assert platform.grants.copy([Copy(guest.domid, True, [Piece(reference, 4095, 2)], b"xx")]) == [False]


async def test_a_guest_has_so_many_pages_and_grants_only(machine):
    guest = machine.create("small", pages=2)
    pages = [guest.page(), guest.page()]
    with pytest.raises(OSError, match="no memory left"):
        guest.page()
    pages[0].view[0] = 1
    guest.free(pages[0])
    assert guest.page().view[0] == 0
    references = [guest.grant(pages[1]) for _ in range(REFERENCES_MAX - 8)]
    with pytest.raises(OSError, match="grant table is full"):
        guest.grant(pages[1])
    guest.revoke(references[5])
    assert guest.grant(pages[1]) == references[5]


async def test_a_back_end_that_is_killed(machine, guest, settle):
    """Everything it has is gone, and what it does later reaches nobody; another one goes on."""
    before = machine.in_use()
    dead = Emulated(EmulatedOptions(machine="tested"), machine.loop)
    await dead.open()
    page, told = guest.page(), []
    end = guest.channel(lambda: told.append("guest"))
    reference = guest.grant(page)
    mapping = dead.grants.map(guest.domid, reference)
    part = mapping.view[:8]
    channel = dead.channels.bind(guest.domid, end.port, lambda: told.append("dead"))
    await dead.store.watch(guest.home, told.append)
    await settle()
    told.clear()
    dead.die()
    assert machine.in_use() == before
    page.view[0] = 1
    part[1] = 2
    assert (part[0], page.view[1]) == (0, 0)
    channel.notify()
    end.notify()
    await settle()
    assert told == []
    with pytest.raises(ConnectionResetError):
        await dead.store.read("/")
    guest.revoke(reference)
    successor = Emulated(EmulatedOptions(machine="tested"), machine.loop)
    await successor.open()
    successor.channels.bind(guest.domid, end.port, lambda: told.append("successor"))
    end.notify()
    await settle()
    assert told == ["successor"]
    await successor.close()


async def test_faults_that_are_ordered(machine, guest, platform):
    faults, told = machine.faults, []
    reference = guest.grant(guest.page())
    end = guest.channel(lambda: None)
    faults.map_fails = faults.copy_fails = lambda domid, number: (domid, number) == (guest.domid, reference)
    faults.bind_fails = lambda domid, port: (domid, port) == (guest.domid, end.port)
    with pytest.raises(OSError, match="grants nothing"):
        platform.grants.map(guest.domid, reference)
    assert platform.grants.copy([Copy(guest.domid, True, [Piece(reference, 0, 1)], b"x")]) == [False]
    with pytest.raises(OSError, match="as was ordered"):
        platform.channels.bind(guest.domid, end.port, lambda: None)
    faults.refuses = lambda operation, path: errno.EIO if (operation, path) == ("write", "/tool/x") else 0
    with pytest.raises(OSError, match="as was ordered"):
        await platform.store.write("/tool/x", "1")
    await platform.store.write("/tool/y", "1")
    faults.conflicts = 2
    calls = []

    async def work(transaction):
        calls.append(await transaction.read("/tool/y"))

    await platform.store.transact(work)
    assert calls == ["1"] * 3
    faults.store_delay_s = 0.02
    began = machine.loop.time()
    await platform.store.read("/tool/y")
    assert machine.loop.time() - began >= 0.02
    await platform.store.watch("/tool", told.append)
    faults.store_gone = True
    with pytest.raises(ConnectionResetError, match="the store has gone"):
        await platform.store.read("/tool/y")
    with pytest.raises(OSError, match="emulated machine tested"):
        await Emulated(EmulatedOptions(machine="tested"), machine.loop).open()
