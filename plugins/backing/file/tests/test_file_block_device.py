"""A store on a block device: on a real loop device where the machine lets us make one, and with a file that poses as a device."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from tgtcore_file.block_device import BlockDevice
from tgtcore_file.file import FileStore
from tgtcore_file.options import FileOptions
from tgtcore_file.syscalls import fallocate

from tgtcore import Features, StoreError
from tgtcore.testing.store import StoreConformance

MIB = 1 << 20
MakeDevice = Callable[[Path], Path]


@pytest.fixture
def posing(tmp_path: Path, mocker: MockerFixture) -> Iterator[FileStore]:
    """A store that takes a file for a device with sectors of 4096 bytes."""
    queue = tmp_path / "0:0" / "queue"
    queue.mkdir(parents=True)
    for name, value in {
        "logical_block_size": 4096,
        "physical_block_size": 16384,
        "rotational": 1,
        "discard_max_bytes": 1,
        "write_zeroes_max_bytes": 1,
    }.items():
        (queue / name).write_text(str(value))
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * MIB)
    mocker.patch("stat.S_ISBLK", return_value=True)
    mocker.patch("tgtcore_file.file.BlockDevice", side_effect=lambda device: BlockDevice(0, tmp_path))
    store = FileStore(FileOptions(path=path))
    yield store
    store.close()


def test_what_sysfs_says_is_passed_on(posing: FileStore) -> None:
    assert posing.rotational
    assert posing.preferred_bytes == 16384
    assert posing.block_bytes == 1
    assert posing.features() == ~(Features.EXTENTS | Features.SNAPSHOTS | Features.SPACE)


@pytest.mark.parametrize("how", ["unmap", "write_zeroes"])
@pytest.mark.parametrize(
    ("offset", "length", "cleared"),
    [(0, 8192, (0, 8192)), (512, 8192, (4096, 4096)), (512, 7168, (4096, 0)), (512, 1024, (4096, 0))],
)
def test_only_whole_sectors_are_cleared_and_the_rest_is_written(
    posing: FileStore, mocker: MockerFixture, how: str, offset: int, length: int, cleared: tuple[int, int]
) -> None:
    clear = mocker.patch("tgtcore_file.file.fallocate", side_effect=fallocate)
    getattr(posing, how)(offset, length)
    assert [call.args[2:] for call in clear.mock_calls] == [cleared] * (cleared[1] > 0)
    assert posing.read(0, 16384) == b"x" * offset + bytes(length) + b"x" * (16384 - offset - length)


def test_a_new_size_is_looked_up(posing: FileStore, tmp_path: Path) -> None:
    with pytest.raises(
        OSError, match="is a block device of 1048576 bytes, not 2097152; resize the device first"
    ) as caught:
        posing.resize(2 * MIB)
    assert caught.value.errno == errno.EINVAL
    assert posing.size_bytes == MIB
    os.truncate(tmp_path / "disk.img", 2 * MIB)
    posing.resize(2 * MIB)
    assert posing.size_bytes == 2 * MIB


def _losetup(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["losetup", *arguments], capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def make_device() -> Iterator[MakeDevice]:
    """Makes loop devices of 2 MiB and removes them again."""
    made: list[str] = []

    def make(folder: Path) -> Path:
        image = folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(2 * MIB)
        done = _losetup("--find", "--show", image)
        assert done.returncode == 0, done.stderr
        made.append(done.stdout.strip())
        return Path(made[-1])

    yield make
    for device in made:
        _losetup("--detach", device)


class TestLoopDevice(StoreConformance):
    """On machines that let us make loop devices; elsewhere the posing device above has to do."""

    __test__ = os.access("/dev/loop-control", os.R_OK | os.W_OK)
    resizes = False
    examples = 5

    @pytest.fixture(autouse=True)
    def _device(self, make_device: MakeDevice) -> None:
        self.device = make_device

    def make_store(self, folder: Path) -> FileStore:
        return FileStore(FileOptions(path=self.device(folder)))

    def test_a_loop_device_is_thin_and_alone(self, make_device: MakeDevice, tmp_path: Path) -> None:
        options = FileOptions(path=make_device(tmp_path))
        store = FileStore(options)
        store.write(0, b"x" * MIB)
        store.flush()
        assert os.stat(tmp_path / "disk.img").st_blocks * 512 >= MIB
        assert Features.UNMAP in store.features()
        store.unmap(512, MIB - 512)
        assert os.stat(tmp_path / "disk.img").st_blocks * 512 <= 65536
        with pytest.raises(StoreError, match="can't be opened: the system uses it"):
            FileStore(options)
        store.close()
        FileStore(options).close()
