import sys
import threading

import pytest

from tgtcore.testing.threads import at_once, interrupted_often


def test_all_of_it_is_done_at_once() -> None:
    met = threading.Barrier(3)
    places: list[int] = []
    at_once(*[lambda: places.append(met.wait(10))] * 3)
    assert sorted(places) == [0, 1, 2]


def test_what_one_raises_is_raised() -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        at_once(lambda: done.append("one"), fail, lambda: done.append("other"))
    assert sorted(done) == ["one", "other"]


def test_what_does_not_end_is_a_failure() -> None:
    ends = threading.Event()
    with pytest.raises(AssertionError, match="a dead-lock"):
        at_once(ends.wait, wait_s=0.01)
    ends.set()


def test_threads_give_way_more_often_and_then_as_before() -> None:
    usual = sys.getswitchinterval()
    with interrupted_often():
        assert sys.getswitchinterval() < usual / 100
    assert sys.getswitchinterval() == usual
