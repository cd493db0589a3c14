import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tgtcore.errors import Draining, DrainTimeout
from tgtcore.leases import Job, Leases


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_is_held_until_it_is_given_back() -> None:
    leases = Leases("LUN 1")
    with leases.lease("task 0x2a"):
        assert "task 0x2a" in leases
        assert len(leases) == 1
    assert len(leases) == 0


def test_jobs_that_do_the_same_are_two_holders() -> None:
    leases = Leases("store a")
    with leases.lease(Job("a flush")), leases.lease(Job("a flush")):
        assert [holder.name for holder in leases.holders()] == ["a flush", "a flush"]
    assert len(leases) == 0


def test_holders_are_listed_with_their_age_oldest_first() -> None:
    clock = Clock()
    leases = Leases("LUN 1", clock)
    leases.take("first")
    clock.now += 2
    leases.take("second")
    clock.now += 1
    assert [(holder.name, holder.age_s) for holder in leases.holders()] == [("first", 3.0), ("second", 1.0)]


def test_the_same_lease_seen_later_is_the_same_holder() -> None:
    clock = Clock()
    leases = Leases("LUN 1", clock)
    leases.take("a command")
    seen = leases.holders()
    clock.now += 1
    assert set(leases.holders()) == set(seen)


def test_no_lease_behind_a_shut_door() -> None:
    leases = Leases("target t")
    leases.shut()
    with pytest.raises(Draining, match="target t is going away; task 1 may not start using it"):
        leases.take("task 1")
    assert len(leases) == 0


def test_some_of_the_holders_can_be_chosen() -> None:
    leases = Leases("target t", clock=lambda: 0.0)
    for holder in ("task 1", "resize"):
        leases.take(holder)
    chosen = leases.holders(lambda holder: holder.startswith("task"))
    assert [str(holder) for holder in chosen] == ["task 1 (0.0 s)"]


def test_giving_back_twice_is_a_defect() -> None:
    leases = Leases("LUN 1")
    leases.take("task 1")
    leases.give("task 1")
    with pytest.raises(AssertionError, match="task 1"):
        leases.give("task 1")


def test_taking_twice_is_a_defect() -> None:
    leases = Leases("LUN 1")
    leases.take("task 1")
    with pytest.raises(AssertionError, match="already holds"):
        leases.take("task 1")


def test_holders_of_one_kind() -> None:
    leases = Leases("LUN 1")
    leases.take("text")
    leases.take(7)
    assert leases.holders_of(int) == [7]


def test_a_drain_returns_when_the_last_lease_is_back() -> None:
    async def run() -> None:
        leases = Leases("LUN 1")
        leases.take("a")
        leases.take("b")
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, leases.give, "a")
        loop.call_later(0.02, leases.give, "b")
        await leases.drain(5)
        assert leases.draining

    asyncio.run(run())


def test_a_drain_of_what_nobody_uses_returns_at_once() -> None:
    leases = Leases("LUN 1")
    asyncio.run(leases.drain(0))
    assert leases.draining


def test_a_drain_that_takes_too_long_names_everyone() -> None:
    clock = Clock()
    leases = Leases("LUN 1", clock)
    leases.take("task 0x2a")
    clock.now += 4
    with pytest.raises(DrainTimeout, match=r"LUN 1 is still in use after 0.01 s by: task 0x2a \(4.0 s\)") as caught:
        asyncio.run(leases.drain(0.01))
    assert caught.value.holders == ("task 0x2a (4.0 s)",)
    leases.give("task 0x2a")
    assert len(leases) == 0


@dataclass(eq=False)
class Guest:
    """Has a lease while its house lists it."""

    name: str
    since_s: float
    house: "list[Guest]"
    told: list[Callable[[], None]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name

    def when_ended(self, told: Callable[[], None]) -> None:
        self.told.append(told)

    def go(self) -> None:
        self.house.remove(self)
        for told in self.told:
            told()


def test_residents_hold_leases_that_they_never_took() -> None:
    clock, house = Clock(), list[Guest]()
    leases = Leases("LUN 1", clock, residents=lambda: house)
    house.append(Guest("task 1", 99.0, house))
    leases.take("a resize")
    house.append(Guest("task 2", 101.0, house))
    clock.now += 2
    assert [str(holder) for holder in leases.holders()] == ["task 1 (3.0 s)", "a resize (2.0 s)", "task 2 (1.0 s)"]
    assert len(leases) == 3
    assert house[0] in leases
    assert leases.holders_of(Guest) == house


def test_the_end_of_a_drain_waits_for_residents_too_and_for_those_who_came_later() -> None:
    async def run() -> None:
        house: list[Guest] = []
        leases = Leases("LUN 1", residents=lambda: house)
        first, second = Guest("task 1", 0.0, house), Guest("task 2", 1.0, house)
        house.append(first)
        everyone, one = leases.released(), leases.released([first])
        house.append(second)
        first.go()
        assert (everyone.done(), one.done()) == (False, True)
        leases.take("a resize")
        second.go()
        assert not everyone.done()
        leases.give("a resize")
        assert everyone.done()

    asyncio.run(run())


def test_who_has_stopped_waiting_is_not_told() -> None:
    async def run() -> None:
        leases = Leases("LUN 1")
        leases.take("a")
        leases.released().cancel()
        leases.give("a")
        assert leases.released().done()

    asyncio.run(run())


def test_the_thing_hears_of_its_door() -> None:
    heard: list[bool] = []
    leases = Leases("LUN 1", door=heard.append)
    leases.shut()
    leases.open()
    assert heard == [True, False]
    leases.take("a")
