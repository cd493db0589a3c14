"""The end of the daemon: whatever fails or hangs, the rest goes away, in a bounded time, and what is left is named."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from daemon.conftest import AMPLE_S, CONFIG, Running, Start
from support.fakes import FakeStore, FakeTransport, MemoryOptions

from tgtcore import signals
from tgtcore.daemon import Kind, Thing
from tgtcore.errors import ConfigError

pytestmark = pytest.mark.asyncio

GiveUp = Callable[[Kind, str], None]


@pytest.fixture
def give_up(running: Running, monkeypatch: pytest.MonkeyPatch) -> GiveUp:
    """Call it to end the patience with one thing that hangs; all the others have ample time."""
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    monkeypatch.setattr("tgtcore.daemon.departures._PROGRESS_S", 0.01)
    running.daemon.inventory.drain_s = AMPLE_S

    def end_patience(kind: Kind, name: str) -> None:
        departure = running.daemon.departures.of(Thing(kind, name))
        assert departure is not None
        departure.patience.shorten(0)

    return end_patience


@pytest.fixture
def changes_given_up(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that is under way when the daemon stops is given up soon."""
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0)
    running.daemon.inventory.drain_s = 0.02


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Workers wait here until the test has ended."""
    event = threading.Event()
    yield event
    event.set()


def only_a_hangs(
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    gate: threading.Event,
    hangs: Callable[[], None] = lambda: None,
) -> None:
    """`hangs` is called on a worker thread when it does."""
    store: Any = running.daemon.inventory.units["a"].store
    original = getattr(FakeStore, method)

    def hang(self: FakeStore, *args: Any) -> Any:
        if self is store.store:
            hangs()
            gate.wait(10)
        return original(self, *args)

    monkeypatch.setattr(FakeStore, method, hang)


def _fail_to_flush(store: FakeStore) -> None:
    raise OSError(5, "Input/output error")


async def stopped(running: Running) -> list[str]:
    """Stop, in a bounded time."""
    async with asyncio.timeout(AMPLE_S):
        return await running.daemon.stop()


async def test_a_store_that_is_not_closed_cleanly_keeps_nobody(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    nexus = running.transport.log_in("t.one", "host")
    monkeypatch.setattr(FakeStore, "flush", _fail_to_flush)
    assert await stopped(running) == ["store a was not closed cleanly: input/output error"]
    assert nexus is not None
    assert nexus.closed
    assert [store.closed for store in FakeStore.opened] == [True, True]
    inventory = running.daemon.inventory
    assert (inventory.units, inventory.targets, inventory.transports) == ({}, {}, {})


async def test_a_store_that_hangs_while_it_is_closed_is_named(
    running: Running, monkeypatch: pytest.MonkeyPatch, gate: threading.Event, give_up: GiveUp
) -> None:
    monkeypatch.setattr("tgtcore.daemon.daemon._JOIN_S", 0.1)
    a_hangs = partial(asyncio.get_running_loop().call_soon_threadsafe, give_up, Kind.LOGICAL_UNIT, "a")
    only_a_hangs(running, monkeypatch, "flush", gate, a_hangs)
    assert await stopped(running) == [
        "logical unit a: its removal has not ended",
        "a worker thread: it has not returned from a store",
    ]
    assert [store.closed for store in FakeStore.opened] == [False, True]
    FakeStore.opened.clear()


@pytest.mark.usefixtures("changes_given_up")
async def test_a_change_that_hangs_is_given_up(
    running: Running, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    monkeypatch.setattr("tgtcore.daemon.daemon._JOIN_S", 0.1)
    only_a_hangs(running, monkeypatch, "resize", gate)
    resize = asyncio.ensure_future(running.daemon.resize("a", 8192))
    await asyncio.sleep(0)
    left = await stopped(running)
    assert "store a: resize of logical unit a to 8192 bytes" in left
    assert resize.cancelled() or resize.exception() is not None
    FakeStore.opened.clear()


@pytest.mark.parametrize("method", ["stop_listening", "close", "drop_target"])
async def test_a_transport_that_fails_keeps_nobody(
    running: Running, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    nexus = running.transport.log_in("t.one", "host")

    async def fail(self: FakeTransport, *args: Any) -> None:
        raise RuntimeError("as the test wants")

    monkeypatch.setattr(FakeTransport, method, fail)
    assert await stopped(running) == []
    assert nexus is not None
    assert nexus.closed
    assert [store.closed for store in FakeStore.opened] == [True, True]


@pytest.mark.usefixtures("changes_given_up")
async def test_a_store_that_is_opened_for_a_change_that_was_given_up_is_closed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun, loop = threading.Event(), threading.Event(), asyncio.get_running_loop()
    original = FakeStore.__init__

    def hang(self: FakeStore, options: MemoryOptions) -> None:
        begun.set()
        assert gate.wait(20)
        original(self, options)

    monkeypatch.setattr(FakeStore, "__init__", hang)
    new = '[logical_units.c]\ndevice_type = "fake"\nstore = { type = "memory" }\n[targets'
    change = asyncio.ensure_future(running.apply(("[targets", new)))
    assert await asyncio.to_thread(begun.wait, 20)

    def given_up(_: object) -> None:
        running.daemon.inventory.drain_s = AMPLE_S
        loop.call_later(0.1, gate.set)

    change.add_done_callback(given_up)
    assert await stopped(running) == []
    assert change.cancelled()
    assert [store.closed for store in FakeStore.opened] == [True, True, True]


async def test_a_transport_that_hangs_costs_its_time_once(
    running: Running, monkeypatch: pytest.MonkeyPatch, give_up: GiveUp
) -> None:
    nexus = running.transport.log_in("t.one", "host")

    async def hang(self: FakeTransport) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeTransport, "close", hang)
    monkeypatch.setattr(FakeTransport, "ask_to_log_out", lambda *_: give_up(Kind.TRANSPORT, "fake"))
    assert await stopped(running) == ["transport fake: its removal has not ended"]
    assert nexus is not None
    assert nexus.closed
    assert [store.closed for store in FakeStore.opened] == [True, True]


async def test_a_transport_that_hangs_at_every_step_is_given_up_all_the_same(
    running: Running, monkeypatch: pytest.MonkeyPatch, give_up: GiveUp
) -> None:
    async def hang(self: FakeTransport, *args: Any) -> bool:
        return await asyncio.Event().wait()

    monkeypatch.setattr("tgtcore.daemon.departures._CLEANUP_S", 0.02)
    monkeypatch.setattr("tgtcore.daemon.ending._HOPELESS_S", 0.02)
    monkeypatch.setattr(FakeTransport, "drop_session", hang)
    monkeypatch.setattr(FakeTransport, "close", hang)
    monkeypatch.setattr(FakeTransport, "ask_to_log_out", lambda *_: give_up(Kind.TRANSPORT, "fake"))
    running.transport.log_in("t.one", "host")
    assert "transport fake: its removal has not ended" in await stopped(running)
    assert running.daemon.inventory.transports == {}


async def test_listeners_that_fail_keep_nobody(running: Running) -> None:
    def fail(sender: object, **news: object) -> None:
        raise RuntimeError("as the test wants")

    with (
        signals.drain_started.connected_to(fail),
        signals.lu_removed.connected_to(fail),
        signals.store_closed.connected_to(fail),
        signals.target_removed.connected_to(fail),
    ):
        assert await stopped(running) == []
    assert [store.closed for store in FakeStore.opened] == [True, True]


async def test_a_command_that_vanished_is_named(running: Running) -> None:
    running.daemon.inventory.units["b"].lu.former.accepted += 2
    assert await stopped(running) == ["logical unit b: 2 commands have vanished"]


async def test_things_go_from_the_outside_inwards(running: Running) -> None:
    order: list[str] = []

    def note(sender: object, **news: object) -> None:
        order.append(str(sender))

    running.transport.log_in("t.one", "host")
    with (
        signals.nexus_closed.connected_to(note),
        signals.target_removed.connected_to(note),
        signals.store_closed.connected_to(note),
    ):
        assert await stopped(running) == []
    assert order[:2] == ["nexus host -> t.one,1", "target t.one"]
    assert sorted(order[2:]) == ["store a", "store b"]


async def test_stopping_twice_is_stopping_once(running: Running) -> None:
    assert await stopped(running) == []
    assert await stopped(running) == []
    with pytest.raises(ConfigError, match="stopping"):
        await running.daemon.resize("a", 8192)


async def test_a_change_waits_for_the_end_of_the_start(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = CONFIG.replace('luns = ["a", "b"]', 'luns = ["a"]')
    original = FakeTransport.start

    async def slowly(self: FakeTransport) -> None:
        await asyncio.sleep(0.05)
        await original(self)

    monkeypatch.setattr(FakeTransport, "start", slowly)
    running = await start(changed, edits=[lambda document: document["targets"]["t.one"]["luns"].append("b")])
    assert list(running.daemon.inventory.targets["t.one"].luns.luns()) == [0, 1]
