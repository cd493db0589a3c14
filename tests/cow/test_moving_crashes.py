"""Power cuts while an image is committed, rebased or cloned: its disk reads the same, whatever was reached."""

from collections.abc import Callable
from random import Random

import pytest
from cow.history import assert_same
from cow.judges import OwnJudge
from cow.recording import Disk, Log
from cow.shapes import BACKING, OTHER, Files, Shape
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.image import read_header

_CHOICES = 300
_SHAPES = {
    "raw": Shape(cluster_bits=9, clusters=100, backing="raw"),
    "shorter": Shape(cluster_bits=10, clusters=40, backing="raw", backing_part=2),
    "qcow2": Shape(cluster_bits=12, clusters=24, backing="qcow2"),
    "subclusters": Shape(cluster_bits=14, clusters=8, extended_l2=True, backing="raw", backing_part=5),
    "data file": Shape(cluster_bits=12, clusters=24, backing="raw", data_file="plain"),
    "version 2": Shape(cluster_bits=12, clusters=24, version=2, backing="raw"),
}
_NEW = bytes(range(256)) * 128


def _made(shape: Shape) -> tuple[Files, bytes]:
    """An image that has data and zeroes of its own, and what it holds."""
    files, chance = Files.make(shape), Random(shape.cluster_bits)
    image = files.open()
    for _ in range(12):
        at = chance.randrange(shape.size_bytes // 512 - 8) * 512
        image.write(at, chance.randbytes(chance.randrange(1, 9) * 512))
    at = shape.cluster_bytes * (shape.clusters // 2)
    image.unmap(at, shape.cluster_bytes * 2)
    content = bytes(image.read(0, image.size_bytes))
    image.close()
    return files, content


def _assert_holds(left: Files, content: bytes) -> str:
    """It is sound and holds this on what it names; returns that name."""
    OwnJudge().assert_usable(left)
    assert_same(left.open(read_only=True).read(0, len(content)), content, "the disk")
    return read_header(left.image).backing_file


def _replay(recorded: Files, log: Log, look: Callable[[Files], None]) -> None:
    disk, chance = Disk(log), Random(7)
    while disk.step():
        look(recorded.left(disk.everything()))
    disk = Disk(log)
    for moment in sorted(chance.choices(log.moments_of_choice(), k=_CHOICES)):
        while disk.done < moment:
            disk.step()
        look(recorded.left(disk.chosen(chance)))


@pytest.mark.parametrize("shape", _SHAPES)
def test_a_commit_never_changes_what_the_disk_holds(shape: str) -> None:
    files, content = _made(_SHAPES[shape])
    log = Log()
    recorded = files.recorded(log, beneath=True)
    recorded.commit()

    def look(left: Files) -> None:
        assert _assert_holds(left, content) == BACKING
        if _SHAPES[shape].backing == "qcow2":
            assert not check(left.backing[BACKING]).errors

    _replay(recorded, log, look)
    assert check(recorded.image).allocated_clusters == 0
    look(recorded.left(Disk.after(log).chosen(Random(1))))


@pytest.mark.parametrize("content", [None, _NEW], ids=["on nothing", "on another"])
@pytest.mark.parametrize("shape", _SHAPES)
def test_a_rebase_never_changes_what_the_disk_holds(shape: str, content: bytes | None) -> None:
    files, held = _made(_SHAPES[shape])
    log = Log()
    recorded = files.recorded(log)
    recorded.rebase(content)
    named: set[str] = set()
    _replay(recorded, log, lambda left: named.add(_assert_holds(left, held)))
    assert named == {BACKING, "" if content is None else OTHER}
    _assert_holds(recorded.left(Disk.after(log).chosen(Random(1))), held)


def test_a_clone_is_durable_when_it_is_made() -> None:
    files = Files.make(Shape(cluster_bits=9, clusters=200))
    image = files.open()
    content = Random(3).randbytes(60 * 512) + bytes(140 * 512)
    image.write(0, content)
    image.create_snapshot("one")
    log = Log()
    copy = files.clone(image, "one", into=log)
    for seed in range(20):
        left = copy.left(Disk.after(log).chosen(Random(seed)))
        OwnJudge().assert_clean(left)
        OwnJudge().assert_content(left, content)
