from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_filters.commands import rate
from tgtcore_filters.commands.rate import Rate, RateOptions

from tgtcore import TaskState, Tmf, TmfRequest, manage
from tgtcore.testing.initiator import Initiator, MemoryTask

READ, WRITE, READY = "28 00 00000010 00 0008", "2a 00 00000010 00 0008", "00"


class Clock:
    """What time the filter thinks it is."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.turns: list[tuple[float, Any]] = []

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Go on to a later time, by way of all turns that are due until then."""
        until = self.now + seconds
        while self.turns and min(self.turns, key=lambda turn: turn[0])[0] <= until:
            turn = min(self.turns, key=lambda turn: turn[0])
            self.turns.remove(turn)
            self.now = max(self.now, turn[0])
            turn[1]()
        self.now = until


class ClockedRate(Rate):
    """On a clock of the test."""

    clock: Clock

    def later(self, seconds: float, function: Any) -> None:
        self.clock.turns.append((self.clock.now + seconds, function))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate, "monotonic", clock)
    return clock


def used(unit: Any, clock: Clock, **keys: Any) -> Rate:
    limit = ClockedRate(RateOptions(**keys))
    limit.clock = clock
    unit.use(limit)
    return limit


def started(initiator: Initiator, count: int, cdb: str = READ) -> list[MemoryTask]:
    return [
        initiator.start(cdb, b"" if cdb is not WRITE else bytes(4096), 4096 if cdb is READ else 0) for _ in range(count)
    ]


def held(tasks: list[MemoryTask]) -> list[bool]:
    return [task.state is TaskState.HELD for task in tasks]


def test_so_many_commands_in_a_second_in_their_order(unit: Any, initiator: Initiator, clock: Clock) -> None:
    limit = used(unit, clock, iops=10)
    tasks = started(initiator, 5)
    for gone in range(1, 6):
        assert held(tasks) == [False] * gone + [True] * (5 - gone)
        clock.advance(0.1001)
    assert limit.figures() == {"matched": 5, "chosen": 5, "held": 0, "held_ever": 4}
    clock.advance(1)
    assert held(started(initiator, 2)) == [False, True]
    clock.advance(1)


def test_so_many_bytes_in_a_second(unit: Any, initiator: Initiator, clock: Clock) -> None:
    used(unit, clock, bytes_per_second=8192)
    tasks = [*started(initiator, 2), *started(initiator, 2, WRITE)]
    for gone in range(1, 5):
        assert held(tasks) == [False] * gone + [True] * (4 - gone)
        clock.advance(0.5001)


def test_commands_without_data_cost_commands_only(unit: Any, initiator: Initiator, clock: Clock) -> None:
    used(unit, clock, bytes_per_second=1)
    assert held(started(initiator, 5, READY)) == [False] * 5


def test_both_limits_count(unit: Any, initiator: Initiator, clock: Clock) -> None:
    used(unit, clock, iops=10, bytes_per_second=8192)
    tasks = started(initiator, 2)
    clock.advance(0.3)
    assert held(tasks) == [False, True]
    clock.advance(0.3)
    assert held(tasks) == [False, False]


def test_a_burst_after_a_pause(unit: Any, initiator: Initiator, clock: Clock) -> None:
    used(unit, clock, iops=10, burst_seconds=0.25)
    assert held(started(initiator, 5)) == [False, False, False, True, True]
    clock.advance(1)


def test_others_pass_by(unit: Any, initiator: Initiator, clock: Clock) -> None:
    used(unit, clock, commands="READ", iops=1)
    assert held(started(initiator, 2)) == [False, True]
    assert held(started(initiator, 3, WRITE)) == [False] * 3
    clock.advance(1)


def test_an_aborted_one_gives_its_turn_to_the_next(unit: Any, initiator: Initiator, clock: Clock) -> None:
    limit = used(unit, clock, iops=10)
    tasks = started(initiator, 4)
    answers: list[Any] = []
    manage(initiator.nexus, TmfRequest(Tmf.ABORT_TASK, 0, tasks[1].tag), answers.append)
    unit.run_until(lambda: answers)
    assert limit.figures()["held"] == 2
    clock.advance(0.1001)
    assert held(tasks) == [False, False, False, True]
    manage(initiator.nexus, TmfRequest(Tmf.ABORT_TASK, 0, tasks[3].tag), answers.append)
    unit.run_until(lambda: len(answers) == 2)
    clock.advance(1)
    assert held(started(initiator, 1)) == [False]


def test_nobody_overtakes_those_whose_turn_has_come(unit: Any, initiator: Initiator, clock: Clock) -> None:
    used(unit, clock, iops=10)
    first, second = started(initiator, 2)
    clock.now += 0.2  # it is late, and the loop was busy
    third, *_ = started(initiator, 1)
    assert held([first, second, third]) == [False, True, True]
    clock.advance(0.0)
    assert held([second, third]) == [False, True]
    clock.advance(1)


def test_only_so_many_go_on_at_once(unit: Any, initiator: Initiator, clock: Clock) -> None:
    limit = used(unit, clock, iops=1000, burst_seconds=1)
    limit._commands.take(clock.now, 5000)  # type: ignore[union-attr]
    tasks = started(initiator, 200)
    assert all(held(tasks))
    clock.now += 100
    gone = []
    while clock.turns:
        _, turn = clock.turns.pop()
        before = sum(held(tasks))
        turn()
        gone.append(before - sum(held(tasks)))
        clock.now += 1
    assert gone == [64, 64, 64, 8]


def test_by_the_real_clock(unit: Any, initiator: Initiator) -> None:
    unit.use(Rate(RateOptions(iops=100)))
    begin = unit.made.loop.time()
    for task in started(initiator, 11):
        initiator.finish(task)
    assert unit.made.loop.time() - begin >= 0.0999


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "expected iops, bytes_per_second or both"),
        ({"iops": 0}, "greater than 0"),
        ({"bytes_per_second": "fast"}, "is not a size"),
        ({"iops": 1, "burst_seconds": -1}, "greater than or equal to 0"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RateOptions(**keys)
    assert message in str(caught.value)
