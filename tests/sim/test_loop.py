"""The loop and the workers of the simulation."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sim.environment import Environment
from sim.loop import Halted, SimLoop, Stalled
from sim.workers import SimWorkers

from tgtcore.loop import Lane


@pytest.fixture
def loop() -> Any:
    made = Environment(1).new_loop()
    yield made
    made.close()


def test_time_jumps_and_nobody_waits(loop: SimLoop) -> None:
    async def sleep() -> None:
        await asyncio.sleep(3600)

    loop.run_until_complete(sleep())
    assert loop.time() == pytest.approx(3600, abs=0.001)


def test_callbacks_keep_their_order_and_timers_of_one_moment_do_not(loop: SimLoop) -> None:
    soon: list[int] = []
    timed: list[int] = []

    async def wait() -> None:
        for number in range(20):
            loop.call_soon(soon.append, number)
            loop.call_at(1.0, timed.append, number)
        await asyncio.sleep(2)

    loop.run_until_complete(wait())
    assert soon == list(range(20))
    assert timed != list(range(20)) == sorted(timed)


def test_what_can_not_go_on_is_noticed(loop: SimLoop) -> None:
    with pytest.raises(Stalled):
        loop.run_until_complete(asyncio.wait_for(loop.create_future(), None))


def test_a_loop_that_is_halted_leaves_everything(loop: SimLoop) -> None:
    async def halt() -> None:
        loop.halted = True
        await asyncio.sleep(1)

    task = loop.create_task(halt())
    with pytest.raises(Halted):
        loop.run_until_complete(task)
    assert not task.done()
    task.get_coro().close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def _orders(loop: SimLoop, run: Callable[..., None]) -> tuple[list[int], list[int]]:
    begun: list[int] = []
    ended: list[int] = []

    async def wait() -> None:
        for number in range(20):
            run(begun.append, (number,), lambda result, error, number=number: ended.append(number))
        await asyncio.sleep(60)

    coroutine: Coroutine[Any, Any, None] = wait()
    loop.run_until_complete(coroutine)
    return begun, ended


def test_jobs_on_several_workers_end_in_any_order(loop: SimLoop) -> None:
    begun, ended = _orders(loop, SimWorkers(4, loop).run)
    assert begun != list(range(20)) == sorted(begun)
    assert ended != begun
    assert sorted(ended) == list(range(20))


def test_jobs_in_a_lane_keep_their_order(loop: SimLoop) -> None:
    begun, ended = _orders(loop, Lane(SimWorkers(4, loop)).run)
    assert begun == ended == list(range(20))


def test_no_job_begins_after_the_workers_were_closed(loop: SimLoop) -> None:
    workers = SimWorkers(1, loop)
    workers.close()
    assert _orders(loop, workers.run) == ([], [])
    assert workers.join(1)
