import asyncio

import pytest

from tgtcore.errors import Draining, DrainTimeout
from tgtcore.leases import Leases


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
