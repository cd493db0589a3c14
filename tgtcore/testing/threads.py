"""Work that several threads do at once, for tests of code that must stand it."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WAIT_S = 30.0


def at_once(*works: Callable[[], object], wait_s: float = _WAIT_S) -> None:
    """Do all of it at once, each in a thread, and raise what one of them raises.

    :param wait_s: how long each may take.
    :raises AssertionError: one has not ended by then; its thread goes on.
    """
    failures: list[BaseException] = []

    def carry_out(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=carry_out, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(wait_s)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), "a dead-lock"


@contextmanager
def interrupted_often() -> Iterator[None]:
    """Threads give way to one another hundreds of times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
