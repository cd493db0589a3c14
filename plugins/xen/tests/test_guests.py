"""Guests are found by each of their names, and noticed when they come, go, or are called otherwise."""

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


async def test_a_guest_that_migrates_has_another_domid():
    machine = EmulatedXen.named("migration")
    guest = machine.create("web1")
    guests = Guests(machine.store, 0, lambda: None)
    await guests.open()
    old = guest.domid
    guest.migrate()
    await until_async(lambda: (found := guests.find("web1")) is not None and found.domid == guest.domid != old)
    assert list(guests.found) == [0, guest.domid]
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
