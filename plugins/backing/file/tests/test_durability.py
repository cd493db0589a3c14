import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.durability import Durability

PATH = Path("disk.img")


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "disk.img", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_a_failed_flush_fails_forever(fd: int, mocker: MockerFixture) -> None:
    durability = Durability(fd, PATH)
    durability.flush()
    failing = mocker.patch("os.fdatasync", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error"):
        durability.flush()
    mocker.stop(failing)
    for call in (durability.flush, durability.check):
        with pytest.raises(OSError, match=r"disk.img: an earlier flush failed \(Input/output error\)") as caught:
            call()
        assert caught.value.errno == errno.EIO
    Durability(fd, PATH).flush()


def test_a_loss_during_a_flush_fails_it(fd: int, mocker: MockerFixture) -> None:
    durability = Durability(fd, PATH)
    mocker.patch("os.fdatasync", side_effect=lambda _: durability.lose(OSError(errno.ENOSPC, "no space")))
    with pytest.raises(OSError, match="no space"):
        durability.flush()
