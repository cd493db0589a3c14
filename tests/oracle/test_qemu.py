"""QEMU's own iSCSI driver: images converted in and out, patterns written and read."""

import os
import subprocess
from pathlib import Path

import pytest
from oracle.served import Served

_SIZE = 1 << 30
_SPOTS = 96


def qemu(*command: str | Path) -> str:
    """Run one of QEMU's tools; AssertionError with its words where it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A 1 GiB raw image with data here and there."""
    path = tmp_path / "source.img"
    with path.open("wb") as file:
        file.truncate(_SIZE)
        for spot in range(_SPOTS):
            file.seek(spot * (_SIZE // _SPOTS) // 4096 * 4096)
            file.write(os.urandom(256 << 10))
        file.seek(_SIZE - 4096)
        file.write(os.urandom(4096))
    return path


@pytest.mark.timeout(240)
def test_an_image_goes_in_and_comes_out_equal(daemon: Served, image: Path, tmp_path: Path) -> None:
    back = tmp_path / "back.img"
    qemu("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, daemon.url)
    assert "identical" in qemu("qemu-img", "compare", "-f", "raw", "-F", "raw", image, daemon.url)
    qemu("qemu-img", "convert", "-f", "raw", "-O", "raw", daemon.url, back)
    assert "identical" in qemu("qemu-img", "compare", "-f", "raw", "-F", "raw", image, back)
    assert (tmp_path / "disk.img").stat().st_blocks * 512 < _SIZE // 4, "zeroes were not kept thin"


def test_create_takes_the_whole_medium(daemon: Served) -> None:
    assert "size=1073741824" in qemu("qemu-img", "create", "-f", "raw", daemon.url, "1G")
    assert "virtual size: 1 GiB (1073741824 bytes)" in qemu("qemu-img", "info", "-f", "raw", daemon.url)


def test_create_finds_the_room(daemon: Served) -> None:
    assert "qcow2" in qemu("qemu-img", "create", "-f", "qcow2", daemon.url, "512M")
    assert "qcow2" in qemu("qemu-img", "info", daemon.url)
    qemu("qemu-io", "-f", "qcow2", "-c", "write -P 9 1M 3M", "-c", "read -P 9 1M 3M", daemon.url)
    assert "No errors" in qemu("qemu-img", "check", "-f", "qcow2", daemon.url)


@pytest.mark.parametrize(
    "steps",
    [
        ["write -P 0x5a 0 1M", "read -P 0x5a 0 1M"],
        ["write -f -P 0x31 512 4k", "flush", "read -P 0x31 512 4k"],
        ["write -P 1 0 8M", "write -z 1M 2M", "read -P 1 0 1M", "read -P 0 1M 2M", "read -P 1 3M 5M"],
        ["write -P 2 0 8M", "discard 0 4M", "flush", "read -P 0 0 4M", "read -P 2 4M 4M"],
        ["write -P 3 1073741312 512", "read -P 3 1073741312 512"],
        ["aio_write -P 4 0 1M", "aio_write -P 5 1M 1M", "aio_flush", "read -P 4 0 1M", "read -P 5 1M 1M"],
    ],
    ids=["pattern", "fua", "zeroes", "discard", "last block", "queued"],
)
def test_patterns(daemon: Served, steps: list[str]) -> None:
    commands = [word for step in steps for word in ("-c", step)]
    said = qemu("qemu-io", "-f", "raw", *commands, daemon.url)
    assert "failed" not in said.lower(), said
