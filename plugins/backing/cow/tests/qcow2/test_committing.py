"""Writing what an image has itself into what it stands on: refused where that can't be done."""

import pytest
from tgtcore_cow.qcow2.committing import commit
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.image import Image

from tgtcore import Features
from tgtcore.testing.ram import RamStore

SIZE = 64 << 10


class Limited(RamStore):
    """Offers less than it can."""

    def __init__(self, size_bytes: int, missing: Features) -> None:
        super().__init__(size_bytes)
        self._missing = missing

    def features(self) -> Features:
        return super().features() & ~self._missing


def on(beneath: RamStore) -> Image:
    file = RamStore(0)
    create(file, CreateOptions(SIZE, cluster_bytes=4096, backing_file="beneath", backing_format="raw"))
    image = Image(file, backing=beneath)
    image.write(5000, b"x" * 5000)
    return image


@pytest.mark.parametrize(
    ("size_bytes", "missing", "message"),
    [
        (SIZE, Features.WRITE, "what the image stands on can't be written"),
        (SIZE // 2, Features.RESIZE, "has 32768 bytes and can't grow; expected 65536 or more"),
    ],
)
def test_what_beneath_can_not_do_stops_it_before_anything_has_changed(
    size_bytes: int, missing: Features, message: str
) -> None:
    beneath = Limited(size_bytes, missing)
    image = on(beneath)
    with pytest.raises(ImageError, match=message):
        list(commit(image, beneath))
    assert not any(beneath.content)
    assert bytes(image.read(5000, 5000)) == b"x" * 5000


def test_it_is_durable_beneath_before_the_image_lets_go_of_it() -> None:
    beneath = RamStore(SIZE)
    image = on(beneath)
    seen: list[int] = []
    steps = commit(image, beneath)
    next(steps)
    flushes = beneath.flushes
    for _ in steps:
        seen.append(beneath.flushes)
    assert set(seen) <= {flushes}
    assert beneath.flushes == flushes + 1
    assert bytes(beneath.content) == bytes(5000) + b"x" * 5000 + bytes(SIZE - 10000)
    beneath.write(5000, b"seen")
    assert bytes(image.read(5000, 5)) == b"seenx"
