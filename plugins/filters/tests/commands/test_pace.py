import pytest
from tgtcore_filters.commands.pace import Pace


def test_one_after_the_other() -> None:
    pace = Pace(10, 0)
    assert pace.wait_s(100) == 0
    pace.take(100, 1)
    assert pace.wait_s(100) == pytest.approx(0.1)
    assert pace.wait_s(100.04) == pytest.approx(0.06)
    assert pace.wait_s(100.2) == 0


def test_what_is_large_is_paid_for_afterwards() -> None:
    pace = Pace(1000, 0)
    pace.take(50, 5000)
    assert pace.wait_s(50) == pytest.approx(5)


def test_a_pause_is_good_for_a_burst_and_no_more() -> None:
    pace = Pace(10, 0.5)
    for _ in range(6):
        assert pace.wait_s(100) == 0
        pace.take(100, 1)
    assert pace.wait_s(100) == pytest.approx(0.1)
    assert pace.wait_s(1000) == 0
    passed = 0
    while not pace.wait_s(1000):
        pace.take(1000, 1)
        passed += 1
    assert passed == 6


@pytest.mark.parametrize(("per_second", "burst"), [(100, 0), (100, 0.3), (7, 2)])
def test_in_the_long_run_it_is_what_was_asked_for(per_second: float, burst: float) -> None:
    pace, now, passed = Pace(per_second, burst), 5.0, 0
    while now < 105:
        wait = pace.wait_s(now)
        if wait:
            now += wait
        else:
            pace.take(now, 1)
            passed += 1
    assert passed == pytest.approx(per_second * (100 + burst), rel=0.02)
