"""Copies of what snapshots hold, in files of their own."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from tgtcore_cow import ImageError, Qcow2Image, Rules
from tgtcore_cow.files import HostFile
from tgtcore_cow.qcow2 import copying

from tgtcore import Buffer, StoreError

MIB = 1 << 20
SIZE = 16 * MIB


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "STEP_BYTES", MIB)


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Qcow2Image]:
    """One with a snapshot ``one``: 8 MiB of data, and the rest a hole."""
    with Qcow2Image.create(tmp_path / "image.qcow2", SIZE, cluster_bytes=4096, refcount_bits=8) as image:
        for at in range(8):
            image.write(at * MIB, bytes([at + 1]) * MIB)
        image.create_snapshot("one")
        yield image


def content(image: Qcow2Image) -> bytes:
    return bytes(image.read(0, image.size_bytes))


def test_a_clone_holds_what_the_snapshot_holds_and_no_more(image: Qcow2Image, tmp_path: Path) -> None:
    before = content(image)
    image.write(0, b"x" * 10 * MIB)
    image.clone("one", tmp_path / "clone.qcow2")
    assert Qcow2Image.check(tmp_path / "clone.qcow2").clean
    assert (tmp_path / "clone.qcow2").stat().st_blocks * 512 < 10 * MIB
    with Qcow2Image.open(tmp_path / "clone.qcow2") as clone:
        assert content(clone) == before
        assert clone.snapshots == ()
        assert (clone.header.cluster_bits, clone.header.refcount_order) == (12, 3)


def test_it_has_the_size_that_the_snapshot_has(image: Qcow2Image, tmp_path: Path) -> None:
    image.resize(SIZE * 2)
    image.clone("1", tmp_path / "clone.qcow2")
    with Qcow2Image.open(tmp_path / "clone.qcow2") as clone:
        assert clone.size_bytes == SIZE


def test_it_has_its_name_only_when_it_is_complete(image: Qcow2Image, tmp_path: Path) -> None:
    before = content(image)
    seen: list[int] = []

    def written(done: int) -> None:
        seen.append(done)
        assert not (tmp_path / "clone.qcow2").exists()
        image.write(done - 4096, b"later")

    image.clone("one", tmp_path / "clone.qcow2", written)
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert seen[-1] == SIZE
    assert sorted(one.name for one in tmp_path.iterdir()) == ["clone.qcow2", "image.qcow2"]
    with Qcow2Image.open(tmp_path / "clone.qcow2") as clone:
        assert content(clone) == before


def test_who_gives_up_leaves_nothing_behind(image: Qcow2Image, tmp_path: Path) -> None:
    steps = image.clone_snapshot("one", tmp_path / "clone.qcow2")
    next(steps)
    assert len(list(tmp_path.iterdir())) == 2
    steps.close()
    assert [one.name for one in tmp_path.iterdir()] == ["image.qcow2"]
    image.delete_snapshot("one")


def test_a_snapshot_that_is_being_copied_is_not_deleted(image: Qcow2Image, tmp_path: Path) -> None:
    steps = image.clone_snapshot("one", tmp_path / "clone.qcow2")
    next(steps)
    image.create_snapshot("two")
    with pytest.raises(StoreError, match='snapshot "one" is being copied'):
        image.delete_snapshot("one")
    image.delete_snapshot("two")
    for _ in steps:
        pass
    image.delete_snapshot("one")
    image.flush()
    assert Qcow2Image.check(tmp_path / "clone.qcow2").clean


def test_what_is_there_is_not_overwritten(image: Qcow2Image, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"precious")
    with pytest.raises(ImageError, match="there can't be made: there is such a file already"):
        image.clone("one", tmp_path / "there")
    steps = image.clone_snapshot("one", tmp_path / "late")
    next(steps)
    (tmp_path / "late").write_bytes(b"precious")
    with pytest.raises(StoreError, match="there is such a file already"):
        list(steps)
    assert (tmp_path / "late").read_bytes() == (tmp_path / "there").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(StoreError, match='there is no snapshot "two"'):
        image.clone("two", tmp_path / "clone.qcow2")


@pytest.mark.parametrize("backing_format", ["raw", "qcow2"])
@pytest.mark.parametrize("folder", [".", "elsewhere"])
def test_it_stands_on_what_the_image_stands_on(tmp_path: Path, backing_format: str, folder: str) -> None:
    with Qcow2Image.create(tmp_path / "base", SIZE) as base:
        base.write(0, b"beneath" * MIB)
    (tmp_path / folder).mkdir(exist_ok=True)
    options = {"backing_file": "base", "backing_format": backing_format}
    with Qcow2Image.create(tmp_path / "image.qcow2", SIZE, extended_l2=True, **options) as image:
        image.write(10_000, b"own")
        image.unmap(2 * MIB, MIB)
        image.create_snapshot("one")
        before = content(image)
        image.write(0, b"x" * MIB)
        image.clone("one", tmp_path / folder / "clone.qcow2")
    clone = tmp_path / folder / "clone.qcow2"
    assert Qcow2Image.check(clone).clean
    with Qcow2Image.open(clone, read_only=True, rules=Rules((tmp_path,))) as opened:
        assert content(opened) == before
        assert opened.header.backing_format == backing_format
        assert opened.header.backing_file == ("base" if folder == "." else str(tmp_path / "base"))


def test_a_full_disk_leaves_nothing_behind_and_is_told_by_the_name_of_the_copy(
    image: Qcow2Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(file: HostFile, offset: int, data: Buffer) -> None:
        if offset > 2 * MIB:
            raise OSError(errno.ENOSPC, "No space left on device")
        really_write(file, offset, data)

    really_write = HostFile.write
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(HostFile, "write", write)
    with pytest.raises(OSError, match="No space left on device") as caught:
        image.clone("one", tmp_path / "clone.qcow2")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "clone.qcow2"))
    assert set(tmp_path.iterdir()) == before
