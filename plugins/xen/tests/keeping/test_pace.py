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


def test_others_have_the_processor_for_as_long_as_it_took():
    now = [100.0]
    pace = Pace(4, 0.05, lambda: now[0])
    took_s = waited_s = 0.0
    for _ in range(50):
        wait_s = pace.wait_s()
        now[0] += wait_s + 0.5
        took_s, waited_s = took_s + 0.5, waited_s + wait_s
        pace.took(0.5)
    assert took_s <= waited_s


def test_who_has_waited_for_others_does_not_wait_as_long_again():
    now = [100.0]
    pace = Pace(2, 0.5, lambda: now[0])
    now[0] += 30
    pace.took(30)
    assert (pace.wait_s(), pace.wait_s()) == (1.5, 2.0)


def test_what_is_let_through_counts_too():
    pace = Pace(2, 0.5, lambda: 100.0)
    for _ in range(4):
        pace.count()
    assert pace.wait_s() == 1.5
