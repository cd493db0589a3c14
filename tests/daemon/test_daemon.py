"""The daemon's life and its changes: all or nothing, and nothing left at the end."""

import asyncio
import threading
from typing import Any

import pytest
from daemon.conftest import CONFIG, Impatient, Running, Start
from support.fakes import FakeStore, FakeTransport, HeldTask

from tgtcore import signals
from tgtcore.daemon import Kind, Thing
from tgtcore.errors import ConfigError, DrainTimeout, StoreError
from tgtcore.nexus import Nexus
from tgtcore.task import PENDING, Attribute


def names(steps: list[Any]) -> list[str]:
    return [f"{step.action.value} {step.kind.value} {step.name}".rstrip() for step in steps]


@pytest.mark.asyncio
async def test_everything_is_built_and_goes_away(start: Start) -> None:
    running = await start()
    daemon = running.daemon
    assert set(daemon.inventory.units) == {"a", "b"}
    assert running.transport.open == ["one"]
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    assert {lun: lu.name for lun, lu in nexus.luns().items()} == {0: "a", 1: "b"}
    assert [holder.name for _, holder in daemon.inventory.holders()] == [str(nexus)]
    assert await daemon.stop() == []
    assert nexus.closed
    assert len(FakeStore.opened) == 2
    assert all(store.closed for store in FakeStore.opened)
    assert (daemon.inventory.units, daemon.inventory.targets, daemon.inventory.transports) == ({}, {}, {})


@pytest.mark.asyncio
async def test_a_target_has_the_ports_that_its_transport_gives_it(start: Start) -> None:
    running = await start()
    target = running.daemon.inventory.targets["t.one"]
    assert [port.name for port in target.ports()] == ["t.one,1"]
    await running.transport.stop_listening()
    assert list(target.ports()) == []


FAILURES = {
    "a store": (
        'store = { type = "through", base = { type = "memory" } }',
        'store = { type = "memory", fails = "/x/disk.img" }',
    ),
    "a base": ('base = { type = "memory" }', 'base = { type = "memory", fails = "/x/disk.img" }'),
    "a device": ('store = { type = "through", base', 'refuses = true\nstore = { type = "through", base'),
    "a portal": ('address = "one"', 'address = "taken"'),
}
MESSAGES = {
    "a store": "logical unit b: store memory: /x/disk.img: no such file or directory",
    "a base": "logical unit b: store memory: /x/disk.img: no such file or directory",
    "a device": "logical unit b on through(memory()): this device refuses the store",
    "a portal": "transport fake: portal taken: address already in use",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", FAILURES)
async def test_a_start_that_fails_leaves_nothing_behind(start: Start, what: str) -> None:
    with pytest.raises((StoreError, ConfigError)) as caught:
        await start(CONFIG.replace(*FAILURES[what]))
    assert str(caught.value).lower() == MESSAGES[what]
    assert FakeStore.opened
    assert all(store.closed for store in FakeStore.opened)


@pytest.mark.asyncio
async def test_only_what_differs_changes(running: Running) -> None:
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    assert await running.apply() == []
    steps = await running.apply(('["a", "b"]', '["a"]'), ('address = "one"', 'address = "two"'))
    assert names(steps) == ["change transport fake", "remove LUN t.one"]
    assert running.transport.open == ["two"]
    assert not nexus.closed
    assert list(nexus.luns()) == [0]
    steps = await running.apply(("drain_s = 0.2", "drain_s = 3"))
    assert names(steps) == ["change daemon", "change transport fake", "add LUN t.one"]
    assert running.daemon.inventory.drain_s == 3
    running.daemon.inventory.drain_s = 0.2


@pytest.mark.asyncio
async def test_a_dry_run_changes_nothing(running: Running) -> None:
    before = running.daemon.config
    steps = await running.apply(
        ("[logical_units.b]", '[logical_units.b]\nserial = "S"'),
        dry_run=True,
    )
    assert names(steps) == ["remove LUN t.one", "remove logical unit b", "add logical unit b", "add LUN t.one"]
    assert running.daemon.config is before


@pytest.mark.asyncio
async def test_a_changed_logical_unit_is_opened_again_under_its_lun(running: Running) -> None:
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    old = nexus.luns()[1]
    await running.apply(("[logical_units.b]", '[logical_units.b]\nserial = "S"'))
    assert nexus.luns()[1] is not old
    assert nexus.luns()[1].identity.serial == "S"
    assert nexus.luns()[1].identity.unique_id == old.identity.unique_id


NEW = '[logical_units.c]\ndevice_type = "fake"\nstore = { type = "memory", fails = "/x" }\n'
ONLY_B = ('luns = ["a", "b"]', 'luns = ["b"]')
CHANGES_THAT_FAIL = {
    "a portal": (('address = "one"', 'address = "taken"'), ONLY_B),
    "a store": (
        (
            "[logical_units.b]",
            NEW + "[logical_units.b]",
        ),
    ),
    "a changed store": (
        ('base = { type = "memory" }', 'base = { type = "memory", fails = "/x" }'),
        ('luns = ["a", "b"]', 'luns = ["b"]'),
    ),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("replacements", CHANGES_THAT_FAIL.values(), ids=CHANGES_THAT_FAIL)
async def test_a_change_that_fails_changes_nothing(running: Running, replacements: Any) -> None:
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    before = running.daemon.config
    with pytest.raises((ConfigError, StoreError)):
        await running.apply(*replacements)
    assert running.daemon.config is before
    assert running.transport.open == ["one"]
    assert {lun: lu.name for lun, lu in nexus.luns().items()} == {0: "a", 1: "b"}
    assert await running.apply() == []


@pytest.mark.asyncio
async def test_what_can_not_change_while_running_is_said(running: Running) -> None:
    with pytest.raises(ConfigError, match=r"daemon.workers: can't change while the daemon runs"):
        await running.apply(("workers = 2", "workers = 3"))


@pytest.mark.asyncio
async def test_a_target_goes_away_with_its_sessions(running: Running) -> None:
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    text = running.text[: running.text.index("[targets")]
    steps = await running.apply((running.text, text))
    assert names(steps) == ["remove target t.one"]
    assert nexus.closed
    assert running.daemon.inventory.holders() == []
    assert running.transport.log == ["start", "ask host@t.one", "drop t.one"]


@pytest.mark.asyncio
async def test_a_narrower_access_list_ends_sessions_that_it_refuses(running: Running) -> None:
    kept, dropped = running.transport.log_in("t.one", "host1"), running.transport.log_in("t.one", "host2")
    assert kept is not None
    assert dropped is not None
    await running.apply(('initiators = ["*"]', 'initiators = ["host1"]'))
    assert (kept.closed, dropped.closed) == (False, True)
    assert running.transport.log_in("t.one", "host2") is None


PRIVATE = '[[targets."t.one".private_luns]]\ninitiators = ["host"]\nluns = ["b"]\n'


@pytest.mark.asyncio
async def test_new_private_luns_make_the_target_anew(running: Running) -> None:
    nexus = running.transport.log_in("t.one", "host")
    steps = await running.apply((running.text, running.text + PRIVATE))
    assert names(steps) == ["remove target t.one", "add target t.one"]
    assert nexus is not None
    assert nexus.closed
    again = running.transport.log_in("t.one", "host")
    assert again is not None
    assert {lun: lu.name for lun, lu in again.luns().items()} == {0: "b"}


@pytest.mark.asyncio
async def test_two_edits_at_once_are_both_done(running: Running) -> None:
    def allow(name: str) -> Any:
        def edit(document: dict[str, Any]) -> None:
            document["targets"]["t.one"]["allow"]["initiators"].append(name)

        return edit

    await asyncio.gather(*(running.daemon.edit(allow(f"host{number}")) for number in range(4)))
    assert len(running.daemon.inventory.targets["t.one"].access.initiators) == 5


def running_task(nexus: Nexus, monkeypatch: pytest.MonkeyPatch) -> HeldTask:
    itl = nexus.itl(0)
    assert itl is not None
    itl.attentions = ()
    monkeypatch.setattr(itl.commands.find(bytes(6)), "handler", lambda device, task: PENDING)
    task = HeldTask(nexus, 0, 7, Attribute.SIMPLE, bytes(6), 0, 0)
    nexus.submit(task)
    return task


@pytest.mark.asyncio
async def test_a_late_removal_names_the_holder_and_goes_on(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    task = running_task(nexus, monkeypatch)
    monkeypatch.setattr(task, "abort", lambda status: False)
    with pytest.raises(DrainTimeout, match=r"LUN 0 of target t.one is still in use after \d+\.\d s by: .*task 0x7"):
        await running.apply(('["a", "b"]', '{ 1 = "b" }'))
    assert list(nexus.luns()) == [1]
    task.finish(0, b"")
    await asyncio.sleep(0)
    assert task.ended
    assert running.daemon.inventory.units["a"].lu.itls == {}


@pytest.mark.asyncio
async def test_a_lease_that_is_left_at_the_end_is_reported(running: Running, impatient: Impatient) -> None:
    impatient(Kind.LOGICAL_UNIT, "a")
    leases = running.daemon.inventory.units["a"].lu.leases
    leases.take("a forgotten task")
    assert await running.daemon.stop() == [
        "logical unit a: a forgotten task",
        "logical unit a: its removal has not ended",
    ]
    assert [store.closed for store in FakeStore.opened] == [False, True]
    FakeStore.opened.clear()


@pytest.mark.asyncio
async def test_a_stopping_daemon_takes_no_changes(start: Start) -> None:
    running = await start()
    await running.daemon.stop()
    with pytest.raises(ConfigError, match="stopping"):
        await running.apply()


@pytest.mark.asyncio
async def test_a_resize_is_told_to_the_device(running: Running) -> None:
    assert await running.daemon.resize("a", 8192) == 8192
    device: Any = running.daemon.inventory.units["a"].lu.device
    assert device.resized == 1
    with pytest.raises(StoreError, match="can't change its size"):
        await running.daemon.resize("b", 8192)


class Resized:
    """Waits for a logical unit to get a size."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._event = asyncio.Event()
        signals.lu_resized.connect(self._note)

    def _note(self, lu: object, old_bytes: int, new_bytes: int) -> None:
        if new_bytes == self._size_bytes:
            self._event.set()

    async def wait(self) -> None:
        await asyncio.wait_for(self._event.wait(), 5)


@pytest.mark.asyncio
async def test_a_resize_that_hangs_holds_up_no_other_change(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    resized = Resized(8192)
    gate = threading.Event()
    original = FakeStore.resize

    def hang(store: FakeStore, size_bytes: int) -> None:
        assert gate.wait(10)
        original(store, size_bytes)

    monkeypatch.setattr(FakeStore, "resize", hang)
    said = "the resize of logical unit a to 8192 bytes has not ended after 0.2 s: its store hangs"
    try:
        async with asyncio.timeout(5):
            with pytest.raises(DrainTimeout, match=said):
                await running.daemon.resize("a", 8192)
            assert len(await running.apply(("drain_s = 0.2", "drain_s = 5"))) == 1
    finally:
        gate.set()
    await resized.wait()


@pytest.mark.asyncio
async def test_a_resize_names_the_commands_that_it_waits_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    nexus = running.transport.log_in("t.one", "host")
    assert nexus is not None
    running.transport.log_in("t.one", "an innocent")
    task = running_task(nexus, monkeypatch)
    resized = Resized(8192)
    with pytest.raises(DrainTimeout) as caught:
        await running.daemon.resize("a", 8192)
    assert [holder.partition(" (")[0] for holder in caught.value.holders] == ["task 0x7"]
    task.complete()
    await resized.wait()


@pytest.mark.asyncio
async def test_a_session_that_does_not_end_names_only_itself(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    nexus, innocent = (running.transport.log_in("t.one", name) for name in ("host", "an innocent"))
    assert nexus is not None
    assert innocent is not None
    innocent.leases.take("a command of the innocent")
    gate = asyncio.Event()

    async def hang(transport: FakeTransport, session_id: str) -> bool:
        await gate.wait()
        return True

    monkeypatch.setattr(FakeTransport, "drop_session", hang)
    nexus.leases.take("a slow command")
    with pytest.raises(DrainTimeout, match=r"session host@t\.one of transport fake is still in use") as caught:
        await running.daemon.drain(Thing(Kind.SESSION, "fake", "host@t.one", nexus))
    assert [holder.rpartition(" (")[0] for holder in caught.value.holders] == [str(nexus), "a slow command"]
    nexus.leases.give("a slow command")
    innocent.leases.give("a command of the innocent")
    gate.set()
    await asyncio.sleep(0)
