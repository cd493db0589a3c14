import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.durability import Durability
from tgtcore_file.file import FileOptions, FileStore

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


def test_what_was_written_before_is_made_durable_through_a_file_opened_for_reading(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    synced = mocker.spy(os, "fdatasync")
    store = FileStore(FileOptions(path=path, read_only=True))
    store.flush()
    assert synced.call_count == 1
    store.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_only_a_file_that_is_never_written_need_not_be_synced(
    tmp_path: Path, mocker: MockerFixture, read_only: bool
) -> None:
    """The files of some file systems that are read-only in themselves can't be."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    store = FileStore(FileOptions(path=path, read_only=read_only))
    mocker.patch("os.fdatasync", side_effect=OSError(errno.EINVAL, "Invalid argument"))
    if read_only:
        store.flush()
    else:
        with pytest.raises(OSError, match="Invalid argument"):
            store.flush()
    store.close()
