"""Copying the disk of an image piece by piece."""

import pytest
from tgtcore_cow.qcow2 import copying
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.copying import clear, clone, copy_own
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image

from tgtcore import Features
from tgtcore.testing.ram import RamStore

CLUSTER = 4096
SIZE = 64 * CLUSTER


class Thick(RamStore):
    """Can't give space back."""

    def features(self) -> Features:
        return super().features() & ~Features.UNMAP

    def unmap(self, offset: int, length: int) -> None:
        raise AssertionError("not offered")


def made(**options: object) -> tuple[RamStore, Image]:
    file = RamStore(0)
    named = {"backing_file": "beneath", "backing_format": "raw"}
    create(file, CreateOptions(SIZE, cluster_bytes=CLUSTER, **named, **options))  # type: ignore[arg-type]
    beneath = RamStore(SIZE)
    beneath.write(0, b"b" * SIZE)
    return file, Image(file, backing=beneath)


def test_only_what_an_image_has_itself_is_copied() -> None:
    _, image = made()
    image.write(CLUSTER, b"x" * 3 * CLUSTER)
    image.unmap(10 * CLUSTER, 2 * CLUSTER)
    into = RamStore(SIZE)
    into.write(0, b"." * SIZE)
    assert list(copy_own(image.volume, image.reading, SIZE, into))[-1] == SIZE
    expected = b"." * CLUSTER + b"x" * 3 * CLUSTER + b"." * 6 * CLUSTER + bytes(2 * CLUSTER) + b"." * 52 * CLUSTER
    assert bytes(into.content) == expected


def test_steps_are_short_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "STEP_BYTES", 2 * CLUSTER)
    _, image = made()
    image.write(0, b"x" * 5 * CLUSTER)
    steps = list(copy_own(image.volume, image.reading, SIZE, RamStore(SIZE)))
    assert steps == [2 * CLUSTER, 4 * CLUSTER, 5 * CLUSTER, SIZE]


@pytest.mark.parametrize("kind", [RamStore, Thick])
def test_a_range_reads_as_zeroes_whether_or_not_space_can_be_given_back(kind: type[RamStore]) -> None:
    store = kind(3 << 20)
    store.write(0, b"x" * (3 << 20))
    clear(store, 100, (2 << 20) + 5)
    assert bytes(store.content) == b"x" * 100 + bytes((2 << 20) + 5) + b"x" * ((1 << 20) - 105)


@pytest.mark.parametrize(
    "options", [{}, {"version": 2}, {"refcount_bits": 64, "compression": "zstd", "lazy_refcounts": True}], ids=str
)
def test_a_clone_is_as_the_image_was_made(options: dict[str, object]) -> None:
    _, image = made(**options)
    image.write(0, b"x" * 7 * CLUSTER)
    image.create_snapshot("one")
    before = bytes(image.read(0, SIZE))
    image.write(0, b"y" * SIZE)
    file = RamStore(0)
    with image.frozen("one") as frozen:
        assert list(clone(frozen, file, "beneath", "raw"))[-1] == SIZE
    assert check(file).clean
    copy = Image(file, backing=frozen.volume.backing, read_only=True)
    assert bytes(copy.read(0, SIZE)) == before
    for said in ("version", "cluster_bits", "refcount_order", "compression", "lazy_refcounts", "backing_file"):
        assert getattr(copy.header, said) == getattr(image.header, said)


def test_what_a_snapshot_holds_stays_whatever_becomes_of_the_image() -> None:
    file, image = made()
    image.write(0, b"x" * SIZE)
    image.create_snapshot("one")
    with image.frozen("one") as frozen:
        image.write(0, b"y" * SIZE)
        image.create_snapshot("two")
        image.resize(SIZE // 2)
        image.delete_snapshot("two")
        image.flush()
        assert bytes(frozen.reading.read(0, SIZE)) == b"x" * SIZE
    image.close()
    assert check(file).clean
