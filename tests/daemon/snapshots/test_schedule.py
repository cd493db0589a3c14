"""Snapshots that are made by themselves, by a clock that the test owns."""

import asyncio

import pytest
import pytest_asyncio
from daemon.conftest import Running, Start
from daemon.snapshots.conftest import CONFIG, Keeps, keep, store_of

from tgtcore.daemon.inventory import Unit
from tgtcore.errors import ConfigError
from tgtcore.testing.waiting import until_async

pytestmark = pytest.mark.asyncio

HOURLY = "[logical_units.a.snapshots]\nevery_s = 3600\nkeep = 3\n"
A = '[logical_units.a]\ndevice_type = "disk"\nstore = { type = "keeps" }\n'
FULL, BROKEN = OSError(28, "No space left on device"), OSError(5, "Input/output error")
PLAIN = CONFIG.replace("drain_s = 0.2", "drain_s = 10")
SCHEDULED = PLAIN.replace("[logical_units.b]", HOURLY + "[logical_units.b]")


class Clock:
    """The loop's clock, which can be put forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self._ahead_s = 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self._ahead_s)

    async def advance(self, running: Running, seconds: float) -> None:
        """Let time pass when nothing is under way, and whoever waits for it begin."""
        await idle(running)
        self._ahead_s += seconds
        await turns()


async def turns() -> None:
    """Let everybody begin who can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def idle(running: Running) -> None:
    """Wait until nothing is done to the store."""
    for _ in range(2):
        await turns()
        await until_async(lambda: all(_settled(unit) for unit in running.daemon.inventory.units.values()))


def _settled(unit: Unit) -> bool:
    return unit.lu.pause is None and not unit.jobs() and not unit.lu.changing.locked()


@pytest_asyncio.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest_asyncio.fixture
async def running(start: Start, clock: Clock) -> Running:
    return await start(SCHEDULED, keep())


def names(store: Keeps) -> list[str]:
    return [one.name for one in store.snapshots]


async def made(running: Running, number: int, deleted: int = 0) -> None:
    """Wait until so many snapshots were made and deleted, ever, and nothing is under way."""
    store = store_of(running)
    await until_async(lambda: [store.calls.count(what) for what in ("create", "delete")] == [number, deleted])
    await idle(running)


async def test_the_first_is_made_at_once_and_others_in_time(running: Running, clock: Clock) -> None:
    store = store_of(running)
    for number in range(1, 4):
        await made(running, number)
        await clock.advance(running, 3500)
        assert store.calls.count("create") == number
        await clock.advance(running, 101)
    await made(running, 4, deleted=1)
    assert all(name.startswith("scheduled-") for name in names(store))


async def test_the_oldest_go_and_others_are_let_alone(running: Running, clock: Clock) -> None:
    store = store_of(running)
    await made(running, 1)
    store.create_snapshot("mine")
    store.create_snapshot("scheduled-for-ever")
    for number in range(2, 7):
        await clock.advance(running, 3600)
        await made(running, number + 2, deleted=max(number - 3, 0))
    ids = [one.id for one in store.snapshots]
    assert {"mine", "scheduled-for-ever"} < set(names(store))
    assert ids == ["2", "3", "6", "7", "8"], "the newest three, and those of others"


async def test_a_restart_puts_none_off_and_makes_none_too_early(start: Start, clock: Clock) -> None:
    running = await start(PLAIN, keep())
    store = store_of(running)
    old = store.create_snapshot("scheduled-2026-01-01T00:00:00Z")
    recent = old._replace(created_ns=old.created_ns - 3000 * 10**9)
    store.snapshots = {recent: store.snapshots[old]}
    running.text = SCHEDULED.replace("STATE", str(running.folder / "state"))
    store.calls.clear()
    await running.apply()
    await clock.advance(running, 500)
    assert store.calls.count("create") == 0
    await clock.advance(running, 101)
    await made(running, 1)


async def test_a_clock_that_was_wrong_puts_none_off_for_long(start: Start, clock: Clock) -> None:
    running = await start(PLAIN, keep())
    store = store_of(running)
    old = store.create_snapshot("scheduled-2099-01-01T00:00:00Z")
    store.snapshots = {old._replace(created_ns=old.created_ns + 10**18): store.snapshots[old]}
    running.text = SCHEDULED.replace("STATE", str(running.folder / "state"))
    await running.apply()
    await clock.advance(running, 3601)
    await made(running, 2)


async def test_what_was_slept_through_is_not_made_up_for(running: Running, clock: Clock) -> None:
    await made(running, 1)
    await clock.advance(running, 10.5 * 3600)
    await made(running, 2)
    await clock.advance(running, 1700)
    assert store_of(running).calls.count("create") == 2
    await clock.advance(running, 101)
    await made(running, 3)


async def test_a_failure_is_told_once_and_ends(
    running: Running, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_of(running)
    await made(running, 1)
    caplog.set_level("INFO")
    for number, failure in enumerate([FULL, FULL, BROKEN, None, FULL], 2):
        store.failure = failure
        await clock.advance(running, 3600)
        await made(running, number)
    told = [record.getMessage() for record in caplog.records if record.name == "tgtcore.daemon.schedule"]
    assert [text.partition(":")[2] for text in told if "failed" in text] == [
        " a scheduled snapshot has failed: logical unit a: no space left on device",
        " a scheduled snapshot has failed: logical unit a: input/output error",
        " a scheduled snapshot has failed: logical unit a: no space left on device",
    ]
    assert told[2] == "logical unit a: scheduled snapshots are made again"


async def test_a_store_that_can_not_list_them_is_told_and_tried_again(
    start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(PLAIN, keep())
    store = store_of(running)
    with monkeypatch.context() as patch:
        patch.setattr(store, "list_snapshots", lambda: 1 // 0)
        running.text = SCHEDULED.replace("STATE", str(running.folder / "state"))
        await running.apply()
        await until_async(lambda: "a scheduled snapshot has failed: logical unit a failed inside" in caplog.text)
    await clock.advance(running, 3600)
    await made(running, 1)


async def test_the_schedule_changes_while_initiators_go_on(running: Running, clock: Clock) -> None:
    unit = running.daemon.inventory.units["a"]
    await made(running, 1)
    (step,) = await running.apply(("every_s = 3600", "every_s = 60"))
    assert str(step) == "change logical unit a: snapshots"
    assert running.daemon.inventory.units["a"] is unit
    await clock.advance(running, 61)
    await made(running, 2)
    (step,) = await running.apply((HOURLY, ""))
    assert str(step) == "change logical unit a: snapshots"
    assert unit.schedule is None
    await clock.advance(running, 100_000)
    assert store_of(running).calls.count("create") == 2


async def test_a_change_that_fails_brings_the_old_one_back(running: Running, clock: Clock) -> None:
    unit = running.daemon.inventory.units["a"]
    await made(running, 1)
    with pytest.raises(ConfigError):
        await running.apply(("every_s = 3600", "every_s = 60"), ('{ address = "one" }', '{ address = "taken" }'))
    with pytest.raises(ConfigError, match="logical unit c has no store that keeps snapshots"):
        await running.apply(
            ("every_s = 3600", "every_s = 60"),
            ("[logical_units.d]", "[logical_units.c.snapshots]\nevery_s = 60\n[logical_units.d]"),
        )
    assert unit.config.snapshots is not None
    assert unit.config.snapshots.every_s == 3600
    await clock.advance(running, 3601)
    await made(running, 2)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[logical_units.c.snapshots]", "logical unit c on .*: it has no store that keeps snapshots"),
        ("[logical_units.d.snapshots]", "logical unit d on .*: it is read-only"),
    ],
)
async def test_where_none_can_be_made_none_may_be_asked_for(start: Start, table: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        await start(PLAIN.replace("[targets", f"{table}\nevery_s = 60\n[targets"), keep())


async def test_with_its_unit_the_schedule_ends(running: Running, clock: Clock) -> None:
    store, unit = store_of(running), running.daemon.inventory.units["a"]
    await made(running, 1)
    await running.apply(('luns = ["a", "b"]', 'luns = ["b"]'), (A + HOURLY, ""))
    await clock.advance(running, 100_000)
    assert store.closed
    assert unit.schedule is not None
    assert store.calls.count("create") == 1
