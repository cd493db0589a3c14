"""Guests are found by each of their names, and noticed when they come, go, or are called otherwise."""

import asyncio

import pytest
from tgtcore_xen.guests import Guests
from tgtcore_xen.platform.emulated import EmulatedXen

from tgtcore.testing.waiting import until_async

pytestmark = pytest.mark.asyncio


async def test_they_come_are_renamed_and_go():
    machine = EmulatedXen.named("guests")
    told = []
    early = machine.create("early")
    guests = Guests(machine.store, 0, lambda: told.append(1))
    await guests.open()
    assert guests.find("early") == guests.find(early.uuid) == guests.find(str(early.domid)) == (1, "early", early.uuid)
    assert guests.find("0").name == "Domain-0"
    assert [guests.find(name) for name in ("late", "99", "123456789", "\u0661")] == [None] * 4
    late = machine.create("late")
    await until_async(lambda: guests.find("late"))
    machine.server.write(0, f"{late.home}/name", b"renamed")
    await until_async(lambda: guests.find("renamed"))
    assert guests.find("late") is None
    early.destroy()
    await until_async(lambda: guests.find("early") is None)
    assert len(told) >= 3
    assert str(guests.find("renamed")) == "renamed"
    await guests.close()
    await guests.close()
    assert machine.in_use().watches == 0
    late.destroy()


async def test_what_is_left_in_the_store_of_a_guest_that_has_gone_is_not_watched():
    """Somebody who has not heard of its end may write below its home once more, and remove that again."""
    machine = EmulatedXen.named("left")
    guests = Guests(machine.store, 0, lambda: None)
    await guests.open()
    before = machine.in_use()
    gone = machine.create("gone")
    await until_async(lambda: guests.find("gone"))
    gone.destroy()
    await until_async(lambda: guests.find("gone") is None)
    machine.server.make(0, f"{gone.home}/device")
    await guests.refresh()
    machine.server.remove(0, gone.home)
    assert machine.in_use() == before
    await guests.close()


async def test_a_guest_that_migrates_has_another_domid():
    machine = EmulatedXen.named("migration")
    guest = machine.create("web1")
    guests = Guests(machine.store, 0, lambda: None)
    await guests.open()
    old = guest.domid
    guest.migrate()
    await until_async(lambda: (found := guests.find("web1")) is not None and found.domid == guest.domid != old)
    assert guests.find("web1").called == "web1"
    assert guests.find("web1") == guests.find("web1--incoming") == guests.find(guest.uuid)
    guest.resume()
    await until_async(lambda: guests.find("web1--incoming") is None)
    assert guests.find("web1").domid == guest.domid
    assert list(guests.found) == [0, guest.domid]
    await guests.close()


async def made(machine, domid, name, uuid="u"):
    """What tools write first; a connection to the store comes last."""
    machine.server.write(0, f"/local/domain/{domid}/name", name.encode())
    machine.server.write(0, f"/local/domain/{domid}/vm", f"/vm/{uuid}".encode())
    machine.server.write(0, f"/vm/{uuid}/name", name.encode())


async def test_who_migrates_within_the_machine_is_who_has_the_name():
    """The one that is left of two is the guest, in whatever order they are made."""
    machine = EmulatedXen.named("within")
    guests = Guests(machine.store, 0, lambda: None)
    await guests.open()
    for old, new in ((3, 4), (9, 8)):
        await made(machine, old, "web1")
        await until_async(lambda domid=old: domid in guests.found)
        await made(machine, new, "web1--incoming")
        await until_async(lambda domid=new: domid in guests.found)
        assert {guests.find(wanted).domid for wanted in ("web1", "u")} == {old}
        machine.server.write(0, f"/local/domain/{old}/name", b"web1--migratedaway")
        await until_async(lambda domid=new: guests.find("u").domid == domid)
        assert guests.find("web1").domid == new
        machine.server.write(0, f"/local/domain/{old}/name", b"web1")
        await until_async(lambda domid=old: guests.find("u").domid == domid)
        for domid in (old, new):
            machine.server.remove(0, f"/local/domain/{domid}")
        await until_async(lambda: list(guests.found) == [0])
    await guests.close()


async def test_a_guest_is_there_before_the_store_has_a_connection_to_it():
    machine = EmulatedXen.named("early")
    await made(machine, 3, "left", "left")
    guests = Guests(machine.store, 0, lambda: None)
    await guests.open()
    await asyncio.sleep(0.05)  # each watch tells once at the beginning
    assert guests.find("left") is None, "who knows of what: it may be what is left of one"
    machine.server.write(0, "/local/domain/5/memory", b"1")
    await made(machine, 4, "web1")
    await until_async(lambda: guests.find("web1"))
    assert list(guests.found) == [0, 4]
    machine.server.introduce(4)
    machine.server.introduce(3)
    await until_async(lambda: guests.find("left"))
    machine.server.release(4)
    await until_async(lambda: guests.find("web1") is None)
    assert list(guests.found) == [0, 3], "its nodes are left, which says nothing"
    await guests.close()


async def test_a_guest_that_is_there_wins_over_what_may_have_been_left_of_one():
    machine = EmulatedXen.named("both")
    guests = Guests(machine.store, 0, lambda: None)
    await guests.open()
    await made(machine, 3, "web1")
    await until_async(lambda: guests.find("web1"))
    await made(machine, 4, "web1")
    machine.server.introduce(4)
    await until_async(lambda: guests.find("web1").domid == 4)
    await guests.close()


async def test_a_store_that_fails_is_asked_again(caplog, monkeypatch):
    monkeypatch.setattr("tgtcore_xen.guests._AGAIN_S", 0.01)
    machine = EmulatedXen.named("failing")
    guests = Guests(machine.store, 0, lambda: None)
    await guests.open()
    machine.faults.refuses = lambda operation, path: 5 if operation == "list" else 0
    machine.create("web1")
    await until_async(lambda: "does not tell which guests there are" in caplog.text)
    machine.faults.refuses = lambda operation, path: 0
    await until_async(lambda: guests.find("web1"))
    await guests.close()
