"""Departures: waited for, for a while, by anybody who cares."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from tgtcore.daemon import Action, Kind, Step, Thing
from tgtcore.daemon.audience import Audience, heard_by
from tgtcore.daemon.departures import Departure, Departures
from tgtcore.daemon.patience import Patience
from tgtcore.errors import ConfigError, DrainTimeout, StoreError
from tgtcore.leases import Holder
from tgtcore.testing.waiting import WITHIN_S

pytestmark = pytest.mark.asyncio

A = Thing(Kind.TARGET, "a")
REMOVE_A = Step(Action.REMOVE, Kind.TARGET, "a")


def departures() -> Departures:
    return Departures(lambda: 1)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.daemon.departures._LOGOUT_S", 0.01)
    monkeypatch.setattr("tgtcore.daemon.departures._PROGRESS_S", 0.005)


def when(gate: asyncio.Event) -> Callable[[Patience], Awaitable[None]]:
    async def leave(patience: Patience) -> None:
        await gate.wait()

    return leave


def failing(error: Exception) -> Callable[[Patience], Awaitable[None]]:
    async def leave(patience: Patience) -> None:
        raise error

    return leave


async def until_gone(made: Departures) -> None:
    await asyncio.wait_for(asyncio.gather(*(one.task for one in made), return_exceptions=True), WITHIN_S)
    await asyncio.sleep(0)


async def test_what_goes_in_time_is_gone() -> None:
    made, gate = departures(), asyncio.Event()
    gate.set()
    await made.wait(made.begin(A, when(gate), step=REMOVE_A))
    assert A not in made
    assert len(made) == 0


async def test_what_needs_longer_goes_on_and_its_users_are_named(caplog: pytest.LogCaptureFixture) -> None:
    made, gate = departures(), asyncio.Event()
    users = [Holder("task 1", 7.0, 3.0), Holder("task 2", 9.0, 1.0)]
    departure = made.begin(A, when(gate), lambda: users, deadline_s=0, step=REMOVE_A)
    with pytest.raises(
        DrainTimeout, match=r"target a is still in use after \d+\.\d s by: task 1 \(3.0 s\), "
    ) as caught:
        await made.wait(departure)
    assert caught.value.holders == ("task 1 (3.0 s)", "task 2 (1.0 s)")
    assert A in made
    with caplog.at_level(logging.INFO):
        gate.set()
        await until_gone(made)
    assert A not in made
    assert "target a is gone now" in caplog.messages


async def test_what_nobody_uses_and_still_does_not_go_hangs() -> None:
    made = departures()
    departure = made.begin(A, when(asyncio.Event()), deadline_s=0, step=REMOVE_A)
    with pytest.raises(DrainTimeout, match=r"target a is still there after \d+\.\d s, although nobody uses it"):
        await made.wait(departure)
    assert await made.give_up() == ["target a: its removal has not ended"]
    assert len(made) == 0


async def test_what_is_only_drained_leaves_nothing_behind() -> None:
    made = departures()
    departure = made.begin(A, when(asyncio.Event()))
    assert (departure.state, A in made) == ("draining", False)
    waiting = asyncio.ensure_future(made.wait(departure))
    await asyncio.sleep(0)
    assert await made.give_up() == []
    with pytest.raises(DrainTimeout, match="was not waited for to the end"):
        await waiting


async def test_an_error_of_ours_is_raised_as_it_is_to_everybody_who_waits() -> None:
    made, error = departures(), ConfigError("as the test wants")
    departure = made.begin(A, failing(error), step=REMOVE_A)
    heard = await asyncio.gather(made.wait(departure), made.wait(departure), return_exceptions=True)
    assert heard == [error, error]


async def test_a_defect_is_logged_and_named(caplog: pytest.LogCaptureFixture) -> None:
    made = departures()
    with pytest.raises(StoreError, match="target a was not removed cleanly: ZeroDivisionError: inside"):
        await made.wait(made.begin(A, failing(ZeroDivisionError("inside"))))
    assert "target a was not removed cleanly" in caplog.messages


async def test_a_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made = departures()
    made.begin(A, failing(StoreError("too late")))
    await until_gone(made)
    assert "target a was not removed cleanly" in caplog.messages


async def test_who_comes_later_may_shorten_the_time_and_not_lengthen_it() -> None:
    made, gate = departures(), asyncio.Event()
    first = made.begin(A, when(gate), deadline_s=100)
    ends_at = first.patience.ends_at
    made.begin(A, when(gate), deadline_s=200, step=REMOVE_A)
    assert first.patience.ends_at == ends_at
    assert first.patience.left_s <= 100
    third = made.begin(A, when(gate), deadline_s=0, step=REMOVE_A)
    assert made.of(A) is third
    gate.set()
    await until_gone(made)


async def test_of_several_departures_the_youngest_that_is_under_way_counts() -> None:
    made, gate = departures(), asyncio.Event()
    older = made.begin(A, when(gate))
    with pytest.raises(ConfigError):
        await made.wait(made.begin(A, failing(ConfigError("no")), step=REMOVE_A))
    assert made.of(A) is older
    gate.set()
    await until_gone(made)
    assert made.of(A) is None


async def test_what_comes_after_waits() -> None:
    made, gate, order = departures(), asyncio.Event(), list[str]()

    async def note(patience: Patience) -> None:
        order.append("after")

    first = made.begin(A, when(gate))
    second = made.begin(Thing(Kind.LOGICAL_UNIT, "b"), note, after=(first,))
    await asyncio.sleep(0.01)
    assert order == []
    gate.set()
    await made.wait(second)
    assert order == ["after"]


async def test_who_wants_to_is_told_of_the_progress_and_nobody_else() -> None:
    made, gate, told = departures(), asyncio.Event(), list[Departure]()
    departure = made.begin(A, when(gate))

    async def curious() -> None:
        with heard_by(Audience(tell)):
            await made.wait(departure)

    def tell(news: object) -> None:
        assert isinstance(news, Departure)
        told.append(news)
        gate.set()

    await asyncio.gather(curious(), made.wait(departure))
    assert set(told) == {departure}


async def test_a_failure_after_the_one_who_waits_was_given_up_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made, gate = departures(), asyncio.Event()

    async def fail_late(patience: Patience) -> None:
        await gate.wait()
        raise StoreError("too late")

    waiting = asyncio.ensure_future(made.wait(made.begin(A, fail_late)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    gate.set()
    await until_gone(made)
    assert "target a was not removed cleanly" in caplog.messages
