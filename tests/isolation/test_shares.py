"""Who waits for places while they are scarce, and whose turn it is."""

from typing import Any, cast

from tgtcore.isolation.shares import Lun, Shares, Waiting
from tgtcore.options import NoOptions
from tgtcore.target import Target
from tgtcore.task import Task

TARGET = Target("t", 1, "tested", NoOptions())
HUNG, OTHER = (TARGET, 0), (TARGET, 1)


def nexus(name: str) -> Any:
    return name


def task(name: str) -> Task:
    return cast(Task, name)


def turns(waiting: Waiting, full: Lun | None = None) -> list[str]:
    """Those who have a turn, and go."""
    had = []
    for nexus, tasks in waiting.turns():
        tasks.clear()
        waiting.again(nexus, full)
        had.append(str(nexus))
    return had


def test_shares_are_of_commands_and_of_bytes() -> None:
    shares = Shares(2, 100, [(HUNG, 10), (OTHER, 100)])
    assert (shares.full(HUNG), shares.full(OTHER)) == (False, True)
    shares.add(HUNG, 10)
    assert (shares.all_commands(HUNG), shares.all_bytes(HUNG), shares.all_commands(OTHER)) == (True, False, False)
    assert (shares.subtract(HUNG, 10), shares.subtract(HUNG, 10)) == (1, 0)
    assert not shares.full(HUNG)


def test_who_waits_for_a_place_has_turns_in_order() -> None:
    waiting = Waiting()
    for number in range(20):
        waiting.add(nexus(f"n{number}"), task("t"), None)
    assert turns(waiting) == [f"n{number}" for number in range(16)]
    assert turns(waiting) == ["n16", "n17", "n18", "n19"]
    assert waiting.tasks == {}


def test_who_waits_for_a_full_lun_has_a_turn_when_one_of_its_commands_ends() -> None:
    waiting = Waiting()
    for name in "abc":
        waiting.add(nexus(name), task("t"), HUNG)
    waiting.add(nexus("d"), task("t"), None)
    assert turns(waiting) == ["d"]
    waiting.ended(OTHER, 0)
    assert turns(waiting) == []
    waiting.ended(HUNG, 5)
    assert turns(waiting) == ["a"]
    waiting.ended(HUNG, 0)
    assert turns(waiting) == ["b", "c"]
    assert not waiting.passes_over


def test_who_has_withdrawn_a_command_has_another_turn() -> None:
    waiting = Waiting()
    for name in ("first", "second"):
        waiting.add(nexus("a"), task(name), HUNG)
    waiting.add(nexus("b"), task("only"), HUNG)
    assert waiting.withdraw(nexus("a"), lambda one: one == "first") == ["first"]
    assert waiting.withdraw(nexus("b"), lambda one: True) == ["only"]
    assert waiting.withdraw(nexus("c"), lambda one: True) == []
    assert waiting.has(nexus("a"), task("second"))
    assert (turns(waiting), waiting.passes_over, waiting.tasks) == (["a"], False, {})
