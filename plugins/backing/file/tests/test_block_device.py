import os
from pathlib import Path

from tgtcore_file.block_device import BlockDevice


def _queue(folder: Path, **values: object) -> None:
    queue = folder / "queue"
    queue.mkdir(parents=True)
    for name, value in values.items():
        (queue / name).write_text(f"{value}\n")


def test_limits_come_from_sysfs(tmp_path: Path) -> None:
    _queue(
        tmp_path / "8:0",
        logical_block_size=4096,
        physical_block_size=16384,
        rotational=1,
        discard_max_bytes=1 << 30,
        write_zeroes_max_bytes=1 << 20,
    )
    device = BlockDevice(os.makedev(8, 0), tmp_path)
    assert (device.logical_bytes, device.physical_bytes) == (4096, 16384)
    assert device.rotational
    assert device.gives_space_back


def test_a_partition_has_the_limits_of_its_disk(tmp_path: Path) -> None:
    _queue(tmp_path / "sda", logical_block_size=4096)
    (tmp_path / "sda" / "sda1").mkdir()
    (tmp_path / "8:1").symlink_to(tmp_path / "sda" / "sda1")
    assert BlockDevice(os.makedev(8, 1), tmp_path).logical_bytes == 4096


def test_discard_that_does_not_promise_zeroes_is_not_used(tmp_path: Path) -> None:
    _queue(tmp_path / "8:0", discard_max_bytes=1 << 30, write_zeroes_max_bytes=0)
    assert not BlockDevice(os.makedev(8, 0), tmp_path).gives_space_back


def test_without_sysfs_the_values_are_safe(tmp_path: Path) -> None:
    _queue(tmp_path / "8:0", logical_block_size="nonsense")
    device = BlockDevice(os.makedev(8, 0), tmp_path)
    assert (device.logical_bytes, device.physical_bytes) == (512, 4096)
    assert not device.rotational
    assert not device.gives_space_back
