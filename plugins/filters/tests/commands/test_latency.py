import pytest
from tgtcore_filters.commands.latency import Latency


@pytest.mark.parametrize(
    ("seconds", "below"),
    [(0, 1), (-1, 1), (1e-6, 2), (2e-6, 4), (3.9e-6, 4), (0.001, 1024), (1, 1 << 20), (1e12, 1 << 40)],
)
def test_the_class_of_a_time(seconds: float, below: int) -> None:
    latency = Latency()
    latency.add(seconds)
    assert latency.figures()["below_us"] == {str(below): 1}


def test_mean_and_longest() -> None:
    latency = Latency()
    assert latency.figures() == {"mean_us": 0, "longest_us": 0, "below_us": {}}
    for us in (10, 20, 60):
        latency.add(us / 1e6 + 1e-9)
    assert latency.figures() == {"mean_us": 30, "longest_us": 60, "below_us": {"16": 1, "32": 1, "64": 1}}
