import os
import stat
from pathlib import Path

import pytest
from tgtcore_filters.commands.own_files import check_log, open_log

LINE = b'{"time": "2026-11-26T12:00:00+00:00"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_new_one_is_private(path: Path) -> None:
    before = os.umask(0)
    try:
        os.close(open_log(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", LINE, LINE[:3]])
def test_a_log_goes_on(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert check_log(path)
    fd = open_log(path)
    os.write(fd, LINE)
    os.close(fd)
    assert path.read_bytes() == content + LINE


@pytest.mark.parametrize("content", [b"x", b"root:x:0:0", b'{"tame": 1}\n', bytes(4096)])
def test_what_is_no_log_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(OSError, match="it is there and no log of commands"):
        open_log(path)
    with pytest.raises(OSError, match="it is there and no log of commands"):
        check_log(path)
    assert path.read_bytes() == content


def test_no_symbolic_link_is_followed(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    with pytest.raises(OSError, match="it is a symbolic link"):
        open_log(path)
    assert not path.exists()
    path.with_name("other").write_bytes(LINE)
    with pytest.raises(OSError, match="it is a symbolic link"):
        open_log(path)


def test_what_is_no_regular_file_is_not_even_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(path)
    opened = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, mode=0: opened(path, flags | os.O_EXCL | os.O_CREAT, mode))
    with pytest.raises(OSError, match="it is no regular file"):
        open_log(path)


def test_the_file_of_another_user_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(LINE)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(OSError, match="it belongs to another user"):
        open_log(path)


def test_one_that_comes_and_goes_is_tried_again_and_not_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(LINE)
    looks: list[int] = []

    def gone(*_: object) -> os.stat_result:
        looks.append(1)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "lstat", gone)
    with pytest.raises(OSError, match="it comes and goes"):
        open_log(path)
    assert len(looks) == 10
    assert not check_log(path)
