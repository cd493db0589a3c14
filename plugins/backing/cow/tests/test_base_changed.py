"""What is beneath an image holds something else: the image is opened anew, or says why it can't be."""

import errno
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from tgtcore_cow.files import HostFile
from tgtcore_cow.library import Qcow2Image
from tgtcore_cow.options import Qcow2Options
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import Incompatible
from tgtcore_cow.qcow2_format import Qcow2

from tgtcore import StoreError
from tgtcore.testing.ram import RamStore

SIZE = 1 << 20
_INCOMPATIBLE_AT = 72


@pytest.fixture
def base() -> RamStore:
    return RamStore(4 << 20)


def made(base: RamStore, **keys: object) -> Qcow2:
    return Qcow2(base, Qcow2Options.model_validate({"create": True, "size": SIZE, **keys}))


def hold(base: RamStore, content: bytes | bytearray) -> None:
    base.resize(len(content))
    base.content[:] = content


def mark_dirty(base: RamStore) -> None:
    struct.pack_into(">Q", base.content, _INCOMPATIBLE_AT, Incompatible.DIRTY)


def test_an_earlier_image_is_read_with_its_size_and_snapshots(base: RamStore) -> None:
    image = made(base)
    read = image.read  # as an open store keeps it
    image.write(0, b"earlier")
    image.create_snapshot("kept")
    earlier = bytes(base.content)
    image.write(0, b"present")
    image.resize(2 * SIZE)
    image.delete_snapshot("kept")
    hold(base, earlier)
    image.base_changed()
    assert bytes(read(0, 7)) == b"earlier"
    assert image.size_bytes == SIZE
    assert [one.name for one in image.list_snapshots()] == ["kept"]
    image.write(0, b"goes on")
    image.close()
    assert bytes(Qcow2(base, Qcow2Options()).read(0, 7)) == b"goes on"


ACCESSES: dict[str, Callable[[Qcow2], object]] = {
    "read": lambda image: image.read(0, 512),
    "extents": lambda image: image.extents(0, 512),
    "write": lambda image: image.write(0, bytes(512)),
    "write through": lambda image: image.write_through(0, bytes(512)),
    "unmap": lambda image: image.unmap(0, 65536),
    "zero": lambda image: image.write_zeroes(0, 65536),
    "flush": lambda image: image.flush(),
    "resize": lambda image: image.resize(2 * SIZE),
    "list": lambda image: image.list_snapshots(),
    "snapshot": lambda image: image.create_snapshot("one"),
    "delete": lambda image: image.delete_snapshot("kept"),
    "revert": lambda image: image.revert_snapshot("kept"),
    "clone": lambda image: next(image.clone_snapshot("kept", Path("never-made.qcow2"))),
}


@pytest.mark.parametrize("access", ACCESSES)
def test_every_access_to_what_is_no_image_fails(base: RamStore, access: str) -> None:
    image = made(base)
    image.write(0, b"lost")
    image.create_snapshot("kept")
    image.write(0, b"held back")
    hold(base, bytes(base.size_bytes))
    with pytest.raises(ImageError, match="no qcow2 image"):
        image.base_changed()
    with pytest.raises((OSError, StoreError), match="no qcow2 image") as caught:
        ACCESSES[access](image)
    assert not isinstance(caught.value, OSError) or caught.value.errno == errno.EIO
    assert image.read_nowait(0, 512) is None
    assert image.write_nowait(0, bytes(512)) is False
    assert image.size_bytes == SIZE
    image.close()
    assert not any(base.content)


def test_what_was_lost_comes_back_with_its_image(base: RamStore) -> None:
    image = made(base)
    image.write(0, b"still here")
    image.flush()
    content = bytes(base.content)
    base.content[:512] = bytes(512)
    with pytest.raises(ImageError):
        image.base_changed()
    hold(base, content)
    image.base_changed()
    assert bytes(image.read(0, 10)) == b"still here"
    image.write(0, b"written on")
    image.close()


def test_an_image_of_another_kind_can_not_stand_in(base: RamStore) -> None:
    image = made(base)
    other = RamStore(base.size_bytes)
    made(other, cluster_size=4096).close()
    hold(base, other.content)
    with pytest.raises(ImageError, match="an image of another kind now: open it anew"):
        image.base_changed()


def test_one_that_was_not_closed_is_refused_or_repaired_as_when_it_is_opened(base: RamStore) -> None:
    image = made(base)
    image.write(0, b"there")
    image.flush()
    mark_dirty(base)
    with pytest.raises(ImageError, match="was not closed properly"):
        image.base_changed()
    repairing = RamStore(base.size_bytes)
    image = made(repairing, repair=True)
    hold(repairing, base.content)
    image.base_changed()
    assert bytes(image.read(0, 5)) == b"there"


def test_it_reads_what_the_other_image_stands_on(tmp_path: Path) -> None:
    path, base = tmp_path / "disk.qcow2", RamStore(4 << 20)
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(name.encode().ljust(SIZE, b"."))
        Qcow2Image.create(tmp_path / f"on-{name}", SIZE, backing_file=name, backing_format="raw").close()
    base.path = path
    for name in ("first", "second"):
        hold(base, (tmp_path / f"on-{name}").read_bytes())
        if name == "first":
            image = Qcow2(base, Qcow2Options())
        image.base_changed()
        assert bytes(image.read(0, len(name) + 1)) == f"{name}.".encode()
    HostFile(tmp_path / "first").close()  # nobody has it any more
    with pytest.raises(StoreError, match="locked by this process"):
        HostFile(tmp_path / "second")
    image.close()


def test_a_copy_of_a_snapshot_is_given_up(base: RamStore, tmp_path: Path) -> None:
    image = made(base)
    image.write(0, b"x" * SIZE)
    image.create_snapshot("kept")
    copying = image.clone_snapshot("kept", tmp_path / "copy.qcow2")
    next(copying)
    image.base_changed()
    with pytest.raises(ImageError, match="its snapshot can't be copied to the end"):
        list(copying)
    assert list(tmp_path.iterdir()) == []
