"""Images of QEMU read and written by us, and ours by QEMU, in turns; ``--hypothesis-profile`` sets the number of rounds."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from cow import qemu_tools
from cow.exchange import Exchange
from hypothesis import settings
from tgtcore_cow import Qcow2Image

from tgtcore.sizes import parse_size

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(300)]

ROUNDS = min(settings().max_examples * 3 // 10, 50)
"""15 if nothing else is said, else 50."""

SIZE = 3 * 1024 * 1024 + 512
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "version 2": {"compat": "0.10"},
    "tiny clusters": {"cluster_size": 512},
    "small clusters, wide counts": {"cluster_size": 4096, "refcount_bits": 64},
    "large clusters": {"cluster_size": "2M"},
    "counts of a bit": {"refcount_bits": 1, "cluster_size": 4096},
    "counts of two bits": {"refcount_bits": 2, "cluster_size": 1024},
    "counts of a byte": {"refcount_bits": 8},
    "lazy": {"lazy_refcounts": "on"},
    "subclusters": {"extended_l2": "on"},
    "small subclusters, zstd": {"extended_l2": "on", "cluster_size": "16k", "compression_type": "zstd"},
    "zstd": {"compression_type": "zstd", "cluster_size": 8192},
    "allocated map": {"preallocation": "metadata"},
    "allocated": {"preallocation": "full", "cluster_size": 16384},
    "allocated subclusters": {"preallocation": "falloc", "extended_l2": "on"},
    "data file": {"data_file": "data"},
    "raw data file": {"data_file": "data", "data_file_raw": "on", "cluster_size": 4096},
    "allocated data file": {"data_file": "data", "preallocation": "metadata"},
}
_OF_QEMU_ONLY = "preallocation"
_CHAIN = ("plain", "version 2", "tiny clusters", "subclusters", "zstd", "data file", "counts of a byte")


def _ours(kind: str, image: Path, size_bytes: int = SIZE, **more: Any) -> None:
    """Make an image of a kind by our own means."""
    options = KINDS[kind]
    Qcow2Image.create(
        image,
        size_bytes,
        version=2 if "compat" in options else 3,
        cluster_bytes=parse_size(str(options.get("cluster_size", "64k"))),
        refcount_bits=options.get("refcount_bits", 16),
        extended_l2="extended_l2" in options,
        compression=options.get("compression_type", "zlib"),
        lazy_refcounts="lazy_refcounts" in options,
        data_file=options.get("data_file", ""),
        data_file_raw="data_file_raw" in options,
        **more,
    ).close()


def _qemus(kind: str, image: Path, size_bytes: int = SIZE, **more: Any) -> None:
    qemu_tools.create(image, size_bytes, **KINDS[kind], **more)


def _in_turns(image: Path, content: bytes) -> None:
    exchange = Exchange(image, content, seed=len(content))
    for _ in range(ROUNDS):
        exchange.round()
    exchange.finish()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the tests run too: names of data files are relative to where QEMU runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["raw", "qcow2"])
def beneath(request: pytest.FixtureRequest, folder: Path) -> Path:
    """What an image stands on; longer than it, with zeroes in it, and compressed if it is no raw one."""
    raw = folder / "beneath.raw"
    raw.write_bytes(Random(1).randbytes(SIZE // 2).ljust(SIZE - 4096, b"\0") + b"end " * 2048)
    if request.param == "raw":
        return raw
    qemu_tools.convert(raw, folder / "beneath.qcow2", of="raw", to="qcow2", options=("-c", "-o", "cluster_size=4k"))
    return folder / "beneath.qcow2"


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_qemu_has_made(kind: str, folder: Path) -> None:
    _qemus(kind, folder / "image")
    _in_turns(folder / "image", bytes(SIZE))


@pytest.mark.parametrize("kind", [kind for kind, options in KINDS.items() if _OF_QEMU_ONLY not in options])
def test_an_image_that_we_have_made(kind: str, folder: Path) -> None:
    _ours(kind, folder / "image")
    _in_turns(folder / "image", bytes(SIZE))


@pytest.mark.parametrize("kind", ["plain", "version 2", "subclusters", "data file"])
def test_an_image_that_stands_on_another_one(kind: str, beneath: Path, folder: Path) -> None:
    before = beneath.read_bytes()
    qemu_tools.create(
        folder / "image", SIZE, backing=beneath, backing_format=beneath.suffix.removeprefix("."), **KINDS[kind]
    )
    _in_turns(folder / "image", (folder / "beneath.raw").read_bytes()[:SIZE])
    assert beneath.read_bytes() == before


@pytest.mark.parametrize("by_us", [False, True], ids=["theirs", "ours"])
def test_a_chain_of_eight(by_us: bool, folder: Path) -> None:
    """Each has something that the others don't."""
    chance = Random(8)
    content = bytearray(chance.randbytes(SIZE))
    lowest = folder / "0"
    lowest.write_bytes(content)
    for number, kind in enumerate(_CHAIN, 1):
        image, named = folder / str(number), str(number - 1)
        image_format = "raw" if number == 1 else "qcow2"
        if by_us:
            _ours(kind, image, backing_format=image_format, backing_file=named)
        else:
            _qemus(kind, image, backing_fmt=image_format, backing_file=named)
        for _ in range(4):
            offset, data = chance.randrange(SIZE // 512 - 40) * 512, chance.randbytes(chance.randrange(1, 40) * 512)
            content[offset : offset + len(data)] = data
            _written(image, offset, data, by_us=bool(number % 2))
    top = folder / str(len(_CHAIN))
    assert len(qemu_tools.run("qemu-img", "info", "--backing-chain", top).stdout.split("image:")) == 1 + 8
    before = {path: path.read_bytes() for path in folder.iterdir() if path != top}
    _in_turns(top, bytes(content))
    assert {path: path.read_bytes() for path in before} == before


def _written(image: Path, offset: int, data: bytes, *, by_us: bool) -> None:
    if by_us:
        with Qcow2Image.open(image) as disk:
            disk.write(offset, data)
        return
    source = image.with_suffix(".source")
    source.write_bytes(data)
    qemu_tools.io(image, f"write -q -s {source} {offset} {len(data)}")
    source.unlink()


def test_bitmaps_do_not_say_that_nothing_was_written(folder: Path) -> None:
    """Whoever makes backups by them would leave out what we have written."""
    image = folder / "image"
    _qemus("plain", image)
    qemu_tools.run("qemu-img", "bitmap", "--add", image, "backup")
    with Qcow2Image.open(image) as disk:
        disk.write(0, b"w" * 65536)
    qemu_tools.assert_clean(image)
    bitmaps = qemu_tools.info(image)["format-specific"]["data"].get("bitmaps", [])
    assert all("in-use" in one["flags"] for one in bitmaps), bitmaps
