import statistics
from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_filters.commands.delay import SECONDS_MAX, Delay, DelayOptions

from tgtcore import TaskState
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator

READ, WRITE = "28 00 00000010 00 0004", "2a 00 00000010 00 0001"


class Drawing(Delay):
    """Notes for how long it would have held commands."""

    def __init__(self, **keys: Any) -> None:
        super().__init__(DelayOptions(**keys))
        self.drawn: list[float] = []

    def hold(self, task: Any, seconds: float | None = None) -> Any:
        assert seconds is not None
        self.drawn.append(seconds)


def drawn(unit: Any, initiator: Initiator, **keys: Any) -> list[float]:
    unit.use(drawing := Drawing(**keys))
    for _ in range(2000):
        initiator.execute(READ)
    return drawing.drawn


def test_a_command_goes_on_after_its_time(unit: Any, initiator: Initiator) -> None:
    unit.use(delay := Delay(DelayOptions(commands="READ", seconds=0.05)))
    assert initiator.execute(WRITE, b"x" * 512).status is Status.GOOD
    begin = unit.made.loop.time()
    task = initiator.start(READ, data_in=4096)
    assert delay.figures() == {"matched": 1, "chosen": 1, "held": 1}
    assert task.state is TaskState.HELD
    assert initiator.finish(task).data[:512] == b"x" * 512
    assert unit.made.loop.time() - begin >= 0.05
    assert delay.figures()["held"] == 0


def test_all_take_as_long(unit: Any, initiator: Initiator) -> None:
    assert set(drawn(unit, initiator, seconds=0.2)) == {0.2}


@pytest.mark.parametrize(
    ("keys", "mean", "least", "most"),
    [
        ({"distribution": "uniform", "max_seconds": 3}, 2, 1, 3),
        ({"distribution": "normal", "deviation": 0.1}, 1, 0.5, 1.5),
        ({"distribution": "exponential"}, 1, 0, 15),
        ({"distribution": "pareto", "shape": 5}, 1.25, 1, 20),
    ],
    ids=lambda value: value["distribution"] if isinstance(value, dict) else "",
)
def test_distributions(
    unit: Any, initiator: Initiator, keys: dict[str, Any], mean: float, least: float, most: float
) -> None:
    found = drawn(unit, initiator, seconds=1, **keys)
    assert statistics.mean(found) == pytest.approx(mean, rel=0.1)
    assert min(found) >= least
    assert max(found) <= most
    assert len(set(found)) > 1900


def test_no_time_is_negative_and_none_is_without_end(unit: Any, initiator: Initiator) -> None:
    found = drawn(unit, initiator, seconds=0.1, distribution="normal", deviation=5, max_seconds=3)
    assert min(found) == 0
    assert max(found) == 3
    for shape in (0.001, 1e-320):
        assert max(drawn(unit, initiator, seconds=1, distribution="pareto", shape=shape)) > SECONDS_MAX // 2
        assert max(drawn(unit, initiator, seconds=1, distribution="pareto", shape=shape)) <= SECONDS_MAX


def test_the_same_seed_gives_the_same_times(unit: Any, initiator: Initiator) -> None:
    filters = [Drawing(seconds=1, distribution="exponential", seed=seed) for seed in (1, 1, 2)]
    unit.use(*filters)
    for _ in range(20):
        initiator.execute(READ)
    assert filters[0].drawn == filters[1].drawn != filters[2].drawn


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "Field required"),
        ({"seconds": 0}, "greater than 0"),
        ({"seconds": float("nan")}, "less than or equal to 86400"),
        ({"seconds": 1e9}, "less than or equal to 86400"),
        ({"seconds": 1, "distribution": "uniform"}, 'distribution = "uniform" needs max_seconds'),
        ({"seconds": 1, "distribution": "normal"}, 'distribution = "normal" needs deviation'),
        ({"seconds": 1, "distribution": "pareto"}, 'distribution = "pareto" needs shape'),
        ({"seconds": 1, "shape": 2}, 'shape means nothing to distribution = "fixed"'),
        ({"seconds": 2, "max_seconds": 1}, "max_seconds is 1, expected not less than seconds (2)"),
        ({"seconds": 1, "distribution": "zipf"}, "Input should be 'fixed'"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DelayOptions(**keys)
    assert message in str(caught.value)
