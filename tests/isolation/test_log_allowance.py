"""How much may be logged: a burst, and then what comes back with time."""

from tgtcore.isolation.log_allowance import LogAllowance
from tgtcore.limits import DRIVER_LOG_BURST_BYTES_MAX as BURST
from tgtcore.limits import DRIVER_LOG_BYTES_PER_SECOND_MAX as RATE


class Clock:
    now = 5.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_there_at_once_and_no_more() -> None:
    allowance = LogAllowance(Clock())
    assert not allowance.take(BURST + 1)
    assert allowance.take(BURST - 1)
    assert [allowance.take(1), allowance.take(1)] == [True, False]


def test_what_was_taken_comes_back_with_time_up_to_a_burst() -> None:
    clock = Clock()
    allowance = LogAllowance(clock)
    allowance.take(BURST)
    clock.now += 0.5
    assert [allowance.take(RATE // 2 + 1), allowance.take(RATE // 2), allowance.take(1)] == [False, True, False]
    clock.now += 1_000_000
    assert [allowance.take(BURST), allowance.take(1)] == [True, False]
