"""Who waits for places while they are scarce, and whose turn it is."""

from typing import Any, cast

from tgtcore.isolation.shares import Shares, Waiting
from tgtcore.options import NoOptions
from tgtcore.target import Target
from tgtcore.task import Task

TARGET = Target("t", 1, "tested", NoOptions())
HUNG, OTHER = (TARGET, 0), (TARGET, 1)


def nexus(name: str) -> Any:
    return name


def task(name: str) -> Task:
    return cast(Task, name)


def never(task: Task) -> bool:
    """No command is large."""
    return False


def passes_over(waiting: Waiting) -> bool:
    """Whether anybody waits for a LUN that has its share."""
    return bool(waiting._small_passed_over or waiting._large_passed_over)


def turns(waiting: Waiting, full: bool = False) -> list[str]:
    """Those who have a turn, and go; when their LUN is full, they don't."""
    had = []
    for nexus, lun, line in waiting.turns():
        if not full:
            line.clear()
        waiting.again(nexus, lun, full=full)
        had.append(f"{nexus}{lun[1]}")
    return had


def test_a_lun_has_its_share_when_it_holds_as_much_as_is_left() -> None:
    shares = Shares()
    hung, other = shares.of(HUNG), shares.of(OTHER)
    shares.add(hung, 10)
    shares.add(other, 100)
    assert (hung.lun, shares.of(HUNG) is hung) == (HUNG, True)
    assert not hung.all_commands(2)
    shares.add(hung, 10)
    assert hung.all_commands(2)
    assert not other.all_commands(2)
    assert (hung.all_bytes(21), hung.all_bytes(20)) == (False, True)
    assert (hung.is_full(3, 21), hung.is_full(2, 21), hung.is_full(3, 20)) == (False, True, True)
    shares.subtract(hung, 10)
    assert (hung.commands, hung.bytes) == (1, 10)
    shares.subtract(hung, 10)
    assert list(shares) == [OTHER], "nothing is kept of one without commands"
    assert not hung.all_commands(0), "it waits for a place, and holds none"
    assert not hung.all_bytes(0)


def test_those_whose_stores_hang_always_leave_something() -> None:
    total, shares = 1000, Shares()
    for number in range(5):
        share = shares.of((TARGET, number))
        while not share.all_commands(total):
            shares.add(share, 0)
            total -= 1
        assert share.commands in (total, total + 1)
    assert total > 20


def test_who_waits_for_a_place_has_turns_in_order() -> None:
    waiting = Waiting(never)
    for number in range(20):
        waiting.add(nexus(f"n{number}-"), OTHER, task("t"), full=False)
    assert turns(waiting) == [f"n{number}-1" for number in range(16)]
    assert turns(waiting) == ["n16-1", "n17-1", "n18-1", "n19-1"]
    assert waiting.lines == {}


def test_a_nexus_has_a_turn_for_one_lun_after_the_other() -> None:
    waiting = Waiting(never)
    for number in range(3):
        waiting.add(nexus("many"), (TARGET, number), task("t"), full=False)
    waiting.add(nexus("one"), (TARGET, 0), task("t"), full=False)
    assert [turns(waiting) for _ in range(3)] == [["many0", "one0"], ["many1"], ["many2"]]


def test_who_waits_for_a_full_lun_has_a_turn_when_one_of_its_commands_ends() -> None:
    waiting = Waiting(never)
    for name in "abc":
        waiting.add(nexus(name), HUNG, task("t"), full=True)
    waiting.add(nexus("a"), OTHER, task("u"), full=False)
    assert waiting.has_line(nexus("a"), OTHER)
    assert turns(waiting) == ["a1"], "another LUN of the same nexus need not wait"
    assert not waiting.has_line(nexus("a"), OTHER)
    waiting.ended(OTHER, 0, full=False)
    assert turns(waiting) == []
    waiting.ended(HUNG, 5, full=True)
    assert turns(waiting, full=True) == ["a0"]
    waiting.ended(HUNG, 5, full=True)
    assert turns(waiting) == ["b0"]
    waiting.ended(HUNG, 0, full=True)
    assert turns(waiting) == ["c0", "a0"]
    assert not passes_over(waiting)


def test_who_waits_for_a_full_lun_has_a_turn_when_others_have_left_so_much_that_it_is_full_no_more() -> None:
    waiting = Waiting(lambda one: str(one).startswith("large"))
    for name, lun, kind in (("a", HUNG, "t"), ("b", HUNG, "t"), ("c", OTHER, "t"), ("d", OTHER, "large")):
        waiting.add(nexus(name), lun, task(kind), full=True)
    waiting.look_again(lambda lun: True)
    assert turns(waiting) == []
    waiting.look_again(lambda lun: lun == HUNG)
    assert turns(waiting) == ["c1", "d1"], "the others are looked at in turn"
    waiting.look_again(lambda lun: False)
    assert turns(waiting) == ["a0"], "one after the other"
    waiting.look_again(lambda lun: False)
    assert turns(waiting) == ["b0"]
    waiting.look_again(lambda lun: False)
    assert (turns(waiting), waiting.lines) == ([], {})


def test_when_places_are_not_scarce_any_more_everybody_has_a_turn() -> None:
    waiting = Waiting(lambda one: str(one).startswith("large"))
    for name, lun, kind in (("a", HUNG, "t"), ("b", HUNG, "large"), ("c", OTHER, "t")):
        waiting.add(nexus(name), lun, task(kind), full=True)
    waiting.pass_over_nobody()
    assert (turns(waiting), waiting.lines) == (["a0", "c1", "b0"], {})


def test_a_large_command_has_a_turn_only_when_its_lun_has_less_than_its_share() -> None:
    waiting = Waiting(lambda one: str(one).startswith("large"))
    waiting.add(nexus("a"), HUNG, task("large"), full=True)
    waiting.add(nexus("b"), HUNG, task("small"), full=True)
    waiting.add(nexus("c"), HUNG, task("large too"), full=True)
    waiting.ended(HUNG, 5, full=True)
    assert turns(waiting) == ["b0"]
    waiting.ended(HUNG, 5, full=True)
    assert turns(waiting) == []
    waiting.ended(HUNG, 5, full=False)
    assert turns(waiting) == ["a0"]
    waiting.ended(HUNG, 0, full=True)
    assert turns(waiting) == ["c0"], "nothing else will end"
    assert not passes_over(waiting)


def test_what_follows_a_large_command_that_is_withdrawn_has_another_turn() -> None:
    waiting = Waiting(lambda one: str(one).startswith("large"))
    waiting.add(nexus("a"), HUNG, task("large"), full=True)
    waiting.add(nexus("a"), HUNG, task("small"), full=True)
    assert waiting.withdraw(nexus("a"), lambda one: str(one) == "large") == ["large"]
    assert (turns(waiting), passes_over(waiting)) == (["a0"], False)


def test_who_has_withdrawn_a_command_has_another_turn() -> None:
    waiting = Waiting(never)
    for name in ("first", "second"):
        waiting.add(nexus("a"), HUNG, task(name), full=True)
    waiting.add(nexus("a"), OTHER, task("third"), full=False)
    waiting.add(nexus("b"), HUNG, task("only"), full=True)
    assert waiting.withdraw(nexus("a"), lambda one: one == "first") == ["first"]
    assert waiting.withdraw(nexus("a"), lambda one: one == "third") == ["third"]
    assert waiting.withdraw(nexus("b"), lambda one: True) == ["only"]
    assert waiting.withdraw(nexus("c"), lambda one: True) == []
    assert waiting.has(nexus("a"), HUNG, task("second"))
    assert not waiting.has(nexus("a"), HUNG, task("first"))
    assert not waiting.has(nexus("a"), OTHER, task("third"))
    assert (turns(waiting), passes_over(waiting), waiting.lines) == (["a0"], False, {})
