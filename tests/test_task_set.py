"""Which tasks may run: SAM-5 8.7 told with letters; S, O and H are tasks, in the order of their arrival."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.task import Attribute, State
from tgtcore.task_set import TaskSet

ATTRIBUTES = {"s": Attribute.SIMPLE, "o": Attribute.ORDERED, "h": Attribute.HEAD_OF_QUEUE, "u": Attribute.UNTAGGED}


@dataclass(eq=False)
class FakeTask:
    name: str
    attribute: Attribute
    state: State = State.NEW
    dormant: bool = False


@dataclass
class Stage:
    """A task set with what runs in it."""

    running: list[FakeTask] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.task_set = TaskSet(self.running.append)  # type: ignore[arg-type]
        self.all: dict[str, FakeTask] = {}

    def arrive(self, name: str) -> None:
        task = self.all[name] = FakeTask(name, ATTRIBUTES[name[0]])
        if self.task_set.admit(task):  # type: ignore[arg-type]
            self.running.append(task)

    def end(self, name: str) -> None:
        task: Any = self.all[name]
        self.running.remove(task)
        self.task_set.ended(task)
        self.task_set.go_on()

    def withdraw(self, name: str) -> None:
        task: Any = self.all[name]
        self.task_set.withdraw(task)
        self.task_set.go_on()

    @property
    def names(self) -> str:
        return " ".join(task.name for task in self.running)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_simple_tasks_run_side_by_side(stage: Stage) -> None:
    for name in ("s1", "s2", "u3"):
        stage.arrive(name)
    assert stage.names == "s1 s2 u3"


def test_an_ordered_task_waits_for_the_older_and_holds_back_the_younger(stage: Stage) -> None:
    for name in ("s1", "s2", "o3", "s4"):
        stage.arrive(name)
    assert stage.names == "s1 s2"
    stage.end("s1")
    assert stage.names == "s2"
    stage.end("s2")
    assert stage.names == "o3"
    stage.end("o3")
    assert stage.names == "s4"


def test_ordered_tasks_run_one_after_the_other(stage: Stage) -> None:
    for name in ("o1", "o2", "o3"):
        stage.arrive(name)
    for name in ("o1", "o2", "o3"):
        assert stage.names == name
        stage.end(name)
    assert len(stage.task_set) == 0


def test_a_head_of_queue_task_runs_at_once_and_holds_back_what_comes_later(stage: Stage) -> None:
    for name in ("s1", "o2", "h3", "s4"):
        stage.arrive(name)
    assert stage.names == "s1 h3"
    stage.end("h3")
    assert stage.names == "s1"
    stage.end("s1")
    assert stage.names == "o2"
    stage.end("o2")
    assert stage.names == "s4"


def test_a_withdrawn_ordered_task_holds_nothing_back(stage: Stage) -> None:
    for name in ("s1", "o2", "s3"):
        stage.arrive(name)
    stage.withdraw("o2")
    assert stage.names == "s1 s3"
    assert not stage.task_set.waiting


@given(st.lists(st.tuples(st.sampled_from("soh"), st.integers(0, 5)), max_size=40))
def test_everything_runs_and_nothing_overtakes_an_ordered_task(steps: list[tuple[str, int]]) -> None:
    stage = Stage()
    arrived: list[str] = []
    ended: list[str] = []

    def end(index: int) -> None:
        name = stage.running[index % len(stage.running)].name
        stage.end(name)
        ended.append(name)

    for number, (kind, endings) in enumerate(steps):
        name = f"{kind}{number}"
        arrived.append(name)
        stage.arrive(name)
        for _ in range(endings):
            if stage.running:
                end(endings)
    while stage.running:
        end(0)
    assert sorted(ended) == sorted(arrived)
    assert len(stage.task_set) == 0
    place = {name: at for at, name in enumerate(ended)}
    for at, name in enumerate(arrived):
        if name[0] == "o":
            assert all(place[older] < place[name] for older in arrived[:at])
            assert all(place[younger] > place[name] for younger in arrived[at + 1 :] if younger[0] != "h")


def test_a_held_task_set_starts_nothing_and_goes_on_in_order(stage: Stage) -> None:
    stage.arrive("s1")
    stage.task_set.hold()
    assert len(stage.task_set) == 1
    for name in ("s2", "o1", "h1", "s3", "h2"):
        stage.arrive(name)
    stage.end("s1")
    assert stage.names == ""
    stage.withdraw("s2")
    stage.task_set.release()
    assert stage.names == "h2 h1"
    stage.end("h1")
    stage.end("h2")
    assert stage.names == "o1"
    stage.end("o1")
    assert stage.names == "s3"


def test_the_head_of_the_queue_waits_for_nobody_after_a_hold(stage: Stage) -> None:
    stage.arrive("o1")
    stage.task_set.hold()
    stage.arrive("h1")
    stage.task_set.release()
    assert stage.names == "o1 h1"


def test_a_hold_of_nothing_leaves_no_trace(stage: Stage) -> None:
    stage.task_set.hold()
    stage.task_set.release()
    assert len(stage.task_set) == 0
    stage.arrive("s1")
    assert stage.names == "s1"
