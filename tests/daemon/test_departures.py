"""Removals: waited for, for a while."""

import asyncio
import logging

import pytest

from tgtcore.daemon.departures import Departures
from tgtcore.errors import ConfigError, DrainTimeout, StoreError

pytestmark = pytest.mark.asyncio


def departures() -> Departures:
    return Departures(lambda: 1)


async def goes_when(gate: asyncio.Event) -> None:
    await gate.wait()


async def fails(error: Exception) -> None:
    raise error


async def test_what_goes_in_time_is_gone() -> None:
    made, gate = departures(), asyncio.Event()
    gate.set()
    await made.see_off("a", "thing a", goes_when(gate))
    assert "a" not in made
    assert len(made) == 0


async def test_what_needs_longer_goes_on_and_its_users_are_named(caplog: pytest.LogCaptureFixture) -> None:
    made, gate = departures(), asyncio.Event()
    with pytest.raises(DrainTimeout) as caught:
        await made.see_off("a", "thing a", goes_when(gate), lambda: ["task 1", "task 2"], 0.01)
    assert str(caught.value) == "thing a is still in use after 0.01 s by: task 1, task 2"
    assert caught.value.holders == ("task 1", "task 2")
    assert "a" in made
    gate.set()
    with caplog.at_level(logging.INFO):
        await asyncio.sleep(0.01)
    assert "a" not in made
    assert "thing a is gone now" in caplog.messages


async def test_what_nobody_uses_and_still_does_not_go_hangs() -> None:
    made = departures()
    with pytest.raises(DrainTimeout, match=r"thing a is still there after 0.01 s, although nobody uses it"):
        await made.see_off("a", "thing a", goes_when(asyncio.Event()), timeout_s=0.01)
    assert await made.give_up() == ["thing a: its removal has not ended"]
    assert len(made) == 0


async def test_an_error_of_ours_is_raised_as_it_is() -> None:
    error = ConfigError("as the test wants")
    with pytest.raises(ConfigError) as caught:
        await departures().see_off("a", "thing a", fails(error))
    assert caught.value is error


async def test_a_defect_is_logged_and_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoreError, match="thing a was not removed cleanly: ZeroDivisionError: inside"):
        await departures().see_off("a", "thing a", fails(ZeroDivisionError("inside")))
    assert "thing a was not removed cleanly" in caplog.messages


async def test_a_late_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made, gate = departures(), asyncio.Event()

    async def fails_late() -> None:
        await gate.wait()
        raise StoreError("too late")

    with pytest.raises(DrainTimeout):
        await made.see_off("a", "thing a", fails_late(), timeout_s=0.01)
    gate.set()
    await asyncio.sleep(0.01)
    assert "thing a was not removed cleanly" in caplog.messages


async def test_a_failure_after_the_one_who_waits_was_given_up_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made, gate = departures(), asyncio.Event()

    async def fails_late() -> None:
        await gate.wait()
        raise StoreError("too late")

    waiting = asyncio.ensure_future(made.see_off("a", "thing a", fails_late()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    gate.set()
    await asyncio.sleep(0.01)
    assert "thing a was not removed cleanly" in caplog.messages
