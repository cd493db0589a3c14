import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tgtcore_file.durability import Durability

FAILED = OSError(errno.EIO, "Input/output error")


@pytest.fixture
def durability() -> Durability:
    return Durability(Path("disk.img"))


def _promise(durability: Durability, meanwhile: Callable[[], object]) -> None:
    with durability.promise():
        meanwhile()


def _fail() -> None:
    raise FAILED


def test_a_failure_is_never_forgotten(durability: Durability) -> None:
    calls: list[int] = []
    _promise(durability, lambda: calls.append(1))
    with pytest.raises(OSError, match=r"^.Errno 5. Input/output error$"):
        _promise(durability, _fail)
    for _ in range(2):
        with pytest.raises(OSError, match=r"disk.img: an earlier flush failed \(Input/output error\)") as caught:
            _promise(durability, lambda: calls.append(2))
        assert caught.value.errno == errno.EIO
    assert calls == [1], "what can't be promised is not tried"
    _promise(Durability(Path("disk.img")), lambda: calls.append(3))


def test_what_another_call_hears_of_counts_for_all_that_were_under_way(durability: Durability) -> None:
    """The kernel tells only one of them."""
    inside, let_go = threading.Event(), threading.Event()

    def heard_late() -> None:
        inside.set()
        let_go.wait(10)
        raise FAILED

    def other() -> None:
        with pytest.raises(OSError, match="Input/output error"):
            _promise(durability, heard_late)

    def success_at_the_same_time() -> None:
        assert inside.wait(10)
        threading.Timer(0.05, let_go.set).start()

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(OSError, match="an earlier flush failed"):
        _promise(durability, success_at_the_same_time)
    thread.join(10)
    assert not thread.is_alive()


def test_a_success_waits_for_calls_that_were_under_way(durability: Durability) -> None:
    inside, let_go = threading.Event(), threading.Event()

    def later() -> None:
        inside.set()
        let_go.wait(10)

    earlier = threading.Thread(target=_promise, args=(durability, lambda: None))
    thread = threading.Thread(target=_promise, args=(durability, later))
    thread.start()
    assert inside.wait(10)
    earlier.start()
    earlier.join(0.1)
    assert earlier.is_alive(), "it waits for the call that was under way"
    let_go.set()
    for one in (earlier, thread):
        one.join(10)
        assert not one.is_alive()
