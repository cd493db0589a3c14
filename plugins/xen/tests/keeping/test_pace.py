"""How often a guest's nodes are looked at."""

from tgtcore_xen.keeping.pace import Pace


def test_many_at_once_and_few_in_the_long_run():
    now = [100.0]
    pace = Pace(3, 0.5, lambda: now[0])
    assert [pace.wait_s() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    now[0] += 1.5  # of which the two that wait have used 1.0
    assert [pace.wait_s() for _ in range(3)] == [0, 0.5, 1.0]
    now[0] += 100
    assert [pace.wait_s() for _ in range(4)] == [0, 0, 0, 0.5]
