import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tgtcore.loop import Lane, Turn, Workers, in_turns, uncollected

WAIT_S = 10


def with_workers(count: int, test: Callable[[Workers], Any]) -> None:
    async def run() -> None:
        workers = Workers(count)
        try:
            await asyncio.wait_for(test(workers), WAIT_S)
        finally:
            workers.close()
            assert workers.join(WAIT_S)

    asyncio.run(run())


def test_results_come_back_on_the_loops_thread() -> None:
    async def test(workers: Workers) -> None:
        assert await workers.call(threading.get_ident) != threading.get_ident()
        seen: list[tuple[Any, ...]] = []
        ended = asyncio.Event()

        def done(result: Any, error: BaseException | None) -> None:
            seen.append((result, error, threading.get_ident()))
            ended.set()

        workers.run(divmod, (7, 2), done)
        await ended.wait()
        assert seen == [((3, 1), None, threading.get_ident())]

    with_workers(1, test)


def test_errors_come_back_too() -> None:
    async def test(workers: Workers) -> None:
        error = (await asyncio.gather(workers.call(divmod, 1, 0), return_exceptions=True))[0]
        assert isinstance(error, ZeroDivisionError)

    with_workers(1, test)


def test_a_burst_of_jobs_all_come_back() -> None:
    async def test(workers: Workers) -> None:
        results = await asyncio.gather(*(workers.call(int, n) for n in range(1000)))
        assert results == list(range(1000))

    with_workers(4, test)


def test_who_fails_to_take_a_result_keeps_nobody_else_waiting(caplog: pytest.LogCaptureFixture) -> None:
    async def test(workers: Workers) -> None:
        gate = threading.Event()
        ended = asyncio.Event()

        def fail(result: Any, error: BaseException | None) -> None:
            raise ZeroDivisionError

        workers.run(gate.wait, (WAIT_S,), fail)
        workers.run(int, (), fail)
        workers.run(int, (), lambda result, error: ended.set())
        gate.set()
        await ended.wait()

    with_workers(1, test)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_a_lane_runs_one_job_at_a_time_in_order() -> None:
    async def test(workers: Workers) -> None:
        lane = Lane(workers)
        running: list[int] = []
        order: list[int] = []
        most = 0
        ended = asyncio.Event()

        def job(number: int) -> int:
            nonlocal most
            running.append(number)
            most = max(most, len(running))
            running.remove(number)
            return number

        def done(result: Any, error: BaseException | None) -> None:
            order.append(result)
            if len(order) == 50:
                ended.set()

        for number in range(50):
            lane.run(job, (number,), done)
        await ended.wait()
        assert order == list(range(50))
        assert most == 1

    with_workers(4, test)


def test_threads_that_hang_cost_their_time_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def join(thread: threading.Thread, timeout_s: float) -> None:
        nonlocal now
        now += timeout_s

    async def test(workers: Workers) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("tgtcore.loop.time.monotonic", lambda: now)
            patched.setattr(threading.Thread, "join", join)
            assert not workers.join(5)
        assert now == 5

    with_workers(8, test)


def test_a_result_that_nobody_waits_for_any_more_is_undone() -> None:
    async def test(workers: Workers) -> None:
        begun, gate, undone = threading.Event(), threading.Event(), asyncio.Queue[tuple[str, int]]()
        loop = asyncio.get_running_loop()

        def open_something() -> str:
            begun.set()
            assert gate.wait(WAIT_S)
            return "something"

        def undo(result: str) -> None:
            loop.call_soon_threadsafe(undone.put_nowait, (result, threading.get_ident()))

        call = workers.call(open_something, undo=undo)
        assert await asyncio.to_thread(begun.wait, WAIT_S)
        call.cancel()
        gate.set()
        result, thread = await undone.get()
        assert result == "something"
        assert thread != threading.get_ident()

    with_workers(1, test)


def test_what_fails_when_nobody_waits_for_it_any_more_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test(workers: Workers) -> None:
        def undo(result: None) -> None:
            raise OSError(5, "Input/output error")

        workers.call(lambda: None, undo=undo).cancel()
        await workers.call(lambda: None)
        await workers.call(lambda: None)
        await asyncio.sleep(0)

    with_workers(1, test)
    assert "nobody waited for any more has failed" in caplog.text
    assert "Input/output error" in caplog.text


@pytest.mark.asyncio
async def test_a_long_piece_of_work_lets_others_have_their_turn(mocker: MockerFixture) -> None:
    now = mocker.patch("tgtcore.loop.time.monotonic", return_value=0.0)
    ran: list[float] = []
    asyncio.get_running_loop().call_soon(lambda: ran.append(now.return_value))
    turn = Turn()
    await turn.over()
    assert ran == []
    now.return_value = 0.02
    await turn.over()
    assert ran == [0.02]
    asyncio.get_running_loop().call_soon(lambda: ran.append(now.return_value))
    await turn.over()
    assert ran == [0.02], "the next turn has only begun"


@pytest.mark.asyncio
async def test_a_long_list_is_made_in_turns(mocker: MockerFixture) -> None:
    now = mocker.patch("tgtcore.loop.time.monotonic", return_value=0.0)
    ran: list[float] = []
    asyncio.get_running_loop().call_soon(lambda: ran.append(now.return_value))

    def steps() -> Iterator[int]:
        for step in range(4):
            now.return_value += 0.008
            yield step

    assert await in_turns(steps()) == [0, 1, 2, 3]
    assert ran == [0.016]


def test_the_collector_rests_as_long_as_somebody_wants_it() -> None:
    first, second = uncollected(), uncollected()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
