import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tgtcore_file.presence import Presence


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    return path


@pytest.fixture
def fd(image: Path) -> Iterator[int]:
    fd = os.open(image, os.O_RDWR)
    yield fd
    os.close(fd)


def test_a_shorter_file_is_an_error(fd: int, image: Path) -> None:
    presence = Presence(fd, image)
    presence.check(4096)
    os.truncate(image, 100)
    with pytest.raises(OSError, match="ends at byte 100, expected 4096 bytes: it was made shorter") as caught:
        presence.check(4096)
    assert caught.value.errno == errno.EIO
    presence.check(100)


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "deleted"])
def test_a_file_that_is_no_longer_there_is_told_once(
    fd: int, image: Path, replaced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    presence = Presence(fd, image)
    if replaced:
        image.with_name("new").write_bytes(b"")
        image.with_name("new").rename(image)
    else:
        image.unlink()
    for _ in range(2):
        presence.check(4096)
    (record,) = caplog.records
    assert "disk.img was deleted or replaced while in use" in record.message


def test_a_renamed_file_is_still_there(fd: int, image: Path, caplog: pytest.LogCaptureFixture) -> None:
    presence = Presence(fd, image)
    image.rename(image.with_name("elsewhere"))
    presence.check(4096)
    assert not caplog.records


def test_a_file_that_never_had_a_name_is_none_that_was_deleted(caplog: pytest.LogCaptureFixture) -> None:
    fd = os.memfd_create("disk")
    Presence(fd, Path("disk")).check(0)
    os.close(fd)
    assert not caplog.records
