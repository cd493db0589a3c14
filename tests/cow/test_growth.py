"""The file of an image must not grow without bound, whatever is done again and again.

``check`` finds nothing wrong with a file of which ever more is not used again (elsewhere, moved refcount blocks were not).
"""

from collections.abc import Callable
from random import Random

import pytest
from cow.judges import OwnJudge
from cow.shapes import Files, Shape
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.image import Image

_ROUNDS = 300
_WARM = 20


def _rewrite(image: Image, chance: Random) -> None:
    for _ in range(4):
        at = chance.randrange(image.size_bytes // 512) * 512
        image.write(at, chance.randbytes(min(4096, image.size_bytes - at)))
        image.flush()


def _rewrite_through(image: Image, chance: Random) -> None:
    image.write_through(chance.randrange(image.size_bytes // 512) * 512, chance.randbytes(512))


def _unmap_and_write(image: Image, chance: Random) -> None:
    at = chance.randrange(image.size_bytes // 8192) * 8192
    image.unmap(at, 8192)
    image.flush()
    image.write(at, chance.randbytes(8192))
    image.flush()


def _unmap_and_write_unflushed(image: Image, chance: Random) -> None:
    for _ in range(8):
        at = chance.randrange(image.size_bytes // 8192) * 8192
        image.unmap(at, 8192)
        image.write(at, chance.randbytes(8192))
    image.flush()


def _snapshot_and_delete(image: Image, chance: Random) -> None:
    image.create_snapshot("kept")
    _rewrite(image, chance)
    image.delete_snapshot("kept")


def _keep_two_snapshots(image: Image, chance: Random) -> None:
    image.create_snapshot(f"number {chance.random()}")
    _rewrite(image, chance)
    if len(image.snapshots) > 2:
        image.delete_snapshot(image.snapshots[0].id)


def _snapshot_and_revert(image: Image, chance: Random) -> None:
    image.create_snapshot("kept")
    _rewrite(image, chance)
    image.revert_snapshot("kept")
    image.delete_snapshot("kept")


def _grow_and_shrink(image: Image, chance: Random) -> None:
    size_bytes = image.size_bytes
    image.resize(2 * size_bytes)
    image.write(size_bytes, chance.randbytes(8192))
    image.resize(size_bytes)


@pytest.mark.parametrize(
    ("work", "times_the_disk"),
    [
        (_rewrite, 1),
        (_rewrite_through, 1),
        (_unmap_and_write, 1),
        (_unmap_and_write_unflushed, 2),
        (_snapshot_and_delete, 2),
        (_keep_two_snapshots, 4),
        (_snapshot_and_revert, 2),
        (_grow_and_shrink, 2),
    ],
)
@pytest.mark.parametrize("cluster_bits", [9, 12])
def test_the_same_work_again_and_again(
    work: Callable[[Image, Random], None], times_the_disk: int, cluster_bits: int
) -> None:
    files = Files.make(Shape(cluster_bits=cluster_bits, clusters=(128 << 10) >> cluster_bits))
    image, chance = files.open(), Random(8597)
    image.write(0, chance.randbytes(image.size_bytes))
    for _ in range(_WARM):
        work(image, chance)
    image.flush()
    warm = check(files.image).image_end_offset
    for _ in range(_ROUNDS):
        work(image, chance)
    image.flush()
    tables = (64 << 10) + 16 * files.shape.cluster_bytes
    assert check(files.image).image_end_offset <= max(warm, times_the_disk * image.size_bytes + tables)
    assert files.image.size_bytes <= 1 << 20, "it becomes longer by the MiB"
    OwnJudge().assert_clean(files)


def test_the_space_of_what_is_unmapped_is_given_back() -> None:
    files = Files.make(Shape(clusters=64))
    image = files.open()
    image.write(0, Random(1).randbytes(image.size_bytes))
    image.flush()
    image.unmap(0, image.size_bytes)
    image.flush()
    used = len(files.image.content) - files.image.content.count(0)
    assert used < 4 << 16, "what was data are holes now"
