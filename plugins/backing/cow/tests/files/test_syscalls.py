import ctypes
import errno
import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_cow.files.syscalls import punch_hole, punches_holes

MIB = 1 << 20


@pytest.mark.parametrize("size_bytes", [0, 1, MIB - 1, MIB, MIB + 1])
def test_asking_for_holes_changes_nothing(tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size_bytes)
    with path.open("r+b") as file:
        assert punches_holes(file.fileno())
    assert path.read_bytes() == b"x" * size_bytes


def test_a_hole_reads_as_zeroes_and_takes_no_space(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * MIB)
    with path.open("r+b") as file:
        before = os.fstat(file.fileno()).st_blocks
        punch_hole(file.fileno(), 4096, MIB - 4096)
        assert os.fstat(file.fileno()).st_blocks < before
    assert path.read_bytes() == b"x" * 4096 + bytes(MIB - 4096)


def test_a_signal_that_interrupts_does_no_harm_and_other_errors_are_told(mocker: MockerFixture) -> None:
    call = mocker.patch("tgtcore_cow.files.syscalls._fallocate", side_effect=[-1, 0])
    code = mocker.patch.object(ctypes, "get_errno", return_value=errno.EINTR)
    punch_hole(0, 0, 1)
    assert call.call_count == 2
    call.side_effect, code.return_value = [-1], errno.ENOSPC
    with pytest.raises(OSError, match="No space left") as caught:
        punch_hole(0, 0, 1)
    assert caught.value.errno == errno.ENOSPC


def test_what_can_not_be_written_can_have_no_holes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as file:
        assert not punches_holes(file.fileno())
