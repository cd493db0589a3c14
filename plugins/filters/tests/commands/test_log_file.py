import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tgtcore_filters.commands import log_file
from tgtcore_filters.commands.log_file import LogFile

from tgtcore import StoreError

KIB = 1024
SMALL = 64 * KIB


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def opened(path: Path) -> Iterator[LogFile]:
    log = LogFile(path, SMALL, 2)
    yield log
    log.close()


def record(number: int, length: int = 0) -> dict[str, Any]:
    return {"time": 1.5, "number": number, **({"text": "x" * length} if length else {})}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not come true in 20 s"
        time.sleep(0.002)


def test_lines_are_appended_in_order_to_a_private_file(path: Path) -> None:
    for part in range(2):
        log = LogFile(path, SMALL, 2)
        for number in range(3):
            log.put(record(3 * part + number))
        log.close()
        assert log.figures() == {"written": 3, "waiting": 0, "dropped": 0}
    assert lines(path) == [{"time": "1970-01-01T00:00:01.500000+00:00", "number": number} for number in range(6)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_takes_so_much_of_the_disk_and_no_more(path: Path, opened: LogFile) -> None:
    for number in range(400):
        opened.put(record(number, 1000))
    opened.close()
    files = [path, *(path.with_name(f"log.{n}") for n in (1, 2))]
    assert sorted(path.parent.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= SMALL for file in files)
    numbers = [line["number"] for file in reversed(files) for line in lines(file)]
    assert numbers == list(range(numbers[0], 400))
    assert opened.figures()["written"] == 400


def test_none_that_were_renamed_are_kept(path: Path) -> None:
    log = LogFile(path, SMALL, 0)
    for number in range(100):
        log.put(record(number, 1000))
    log.close()
    assert list(path.parent.iterdir()) == [path]
    assert lines(path)[-1]["number"] == 99


def test_rotate(path: Path, opened: LogFile) -> None:
    opened.put(record(1))
    opened.rotate()
    wait_until(lambda: path.with_name("log.1").exists() and path.exists())
    opened.put(record(2))
    opened.close()
    assert [line["number"] for line in lines(path.with_name("log.1"))] == [1]
    assert [line["number"] for line in lines(path)] == [2]


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_another_program_may_take_the_file_away(path: Path, opened: LogFile, how: str) -> None:
    opened.put(record(1))
    wait_until(lambda: opened.figures()["written"] == 1)
    if how == "renamed":
        path.rename(path.with_name("old"))
    else:
        path.unlink()
    opened.put(record(2))
    opened.close()
    assert [line["number"] for line in lines(path)] == [2]


def test_two_logs_share_a_file(path: Path) -> None:
    logs = [LogFile(path, SMALL, 100) for _ in range(2)]
    for number in range(300):
        logs[number % 2].put(record(number, 1000))
    for log in logs:
        log.close()
    found = sorted(line["number"] for file in path.parent.iterdir() for line in lines(file))
    assert found == list(range(300))


def test_what_is_too_much_is_dropped_and_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "_WAITING_MAX", 10)
    monkeypatch.setattr(log_file, "_GATHER_S", 20.0)
    log = LogFile(path, SMALL, 2)
    for number in range(25):
        log.put(record(number))
    assert log.figures() == {"written": 0, "waiting": 10, "dropped": 15}
    log.close()
    found = lines(path)
    assert [line["number"] for line in found[:10]] == list(range(10))
    assert [line["dropped"] for line in found[10:]] == [15]


def test_a_full_disk_costs_whole_lines_only(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = [100]

    def write(fd: int, data: Any) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        part = bytes(data)[: room[0]]
        room[0] -= len(part)
        return os_write(fd, part)

    os_write = os.write
    monkeypatch.setattr(log_file.os, "write", write)
    log = LogFile(path, SMALL, 2)
    log.put(record(1, 200))
    wait_until(lambda: log.figures()["dropped"] == 1)
    assert path.read_bytes() == b""
    log.put(record(2, 200))
    wait_until(lambda: log.figures()["dropped"] == 2)
    room[0] = 100_000
    log.put(record(3))
    log.close()
    assert [line.get("number") for line in lines(path)] == [3, None]
    assert lines(path)[1]["dropped"] == log.figures()["dropped"] == 2
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warnings == [f"{path} can't be written, so commands are not logged: [Errno 28] No space left on device"]


def test_a_name_that_became_something_else_is_not_written_to(
    path: Path, opened: LogFile, caplog: pytest.LogCaptureFixture
) -> None:
    other = path.with_name("other")
    other.write_bytes(b"precious")
    path.unlink()
    path.symlink_to(other)
    opened.put(record(1))
    wait_until(lambda: opened.figures()["dropped"] == 1)
    path.unlink()
    opened.put(record(2))
    opened.close()
    assert other.read_bytes() == b"precious"
    assert [line.get("number") for line in lines(path)] == [2, None]
    assert "it is a symbolic link" in caplog.text


def test_no_file_is_renamed_over_something_else(path: Path, opened: LogFile, caplog: pytest.LogCaptureFixture) -> None:
    other = path.with_name("log.2")
    other.write_bytes(b"precious")
    for number in range(200):
        opened.put(record(number, 1000))
    opened.close()
    assert other.read_bytes() == b"precious"
    assert sorted(path.parent.iterdir()) == [path, other]
    written = [line["number"] for line in lines(path) if "number" in line]
    assert len(written) > 10
    assert len(written) + opened.figures()["dropped"] == 200
    assert "log.2" in caplog.text


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreError, match="log can't be opened: Not a directory"):
        LogFile(path / "log", SMALL, 2)
    with pytest.raises(StoreError, match="can't be opened: it is no regular file"):
        LogFile(path.parent, SMALL, 2)
