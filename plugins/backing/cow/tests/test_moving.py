"""Committing images into their backing files, and letting them stand on others."""

from pathlib import Path
from random import Random

import pytest
from tgtcore_cow import ImageError, Qcow2Image
from tgtcore_cow.qcow2 import copying

from tgtcore import StoreError

KIB = 1 << 10
SIZE = 512 * KIB
FORMATS = pytest.mark.parametrize("backing_format", ["raw", "qcow2"])


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "STEP_BYTES", 64 * KIB)


def base(path: Path, image_format: str, size_bytes: int, seed: int) -> None:
    """A backing file, half of which are holes."""
    content = b"".join(
        Random(seed + at).randbytes(16 * KIB) + bytes(16 * KIB) for at in range(size_bytes // (32 * KIB))
    )
    if image_format == "raw":
        path.write_bytes(content)
        return
    with Qcow2Image.create(path, size_bytes, cluster_bytes=4096) as image:
        for at in range(0, size_bytes, 32 * KIB):
            image.write(at, content[at : at + 16 * KIB])


def overlay(folder: Path, backing_format: str, base_bytes: int = SIZE, **options: object) -> bytes:
    """An image ``top`` on ``base``, with data, zeroes and nothing of its own; returns what it holds."""
    base(folder / "base", backing_format, base_bytes, 1)
    named = {"backing_file": "base", "backing_format": backing_format}
    with Qcow2Image.create(
        folder / "top", SIZE, cluster_bytes=options.pop("cluster_bytes", 16 * KIB), **named, **options
    ) as top:
        top.write(5000, b"x" * 70_000)
        top.unmap(160 * KIB, 64 * KIB)
        top.write(SIZE - 700, b"end" * 200)
        return bytes(top.read(0, SIZE))


def held(path: Path) -> bytes:
    with Qcow2Image.open(path, read_only=True) as image:
        return bytes(image.read(0, image.size_bytes))


def read(path: Path, image_format: str) -> bytes:
    return path.read_bytes() if image_format == "raw" else held(path)


@FORMATS
@pytest.mark.parametrize("base_bytes", [SIZE, SIZE // 2, SIZE * 2])
@pytest.mark.parametrize("options", [{}, {"extended_l2": True}, {"data_file": "top.data"}, {"version": 2}], ids=str)
def test_a_commit_moves_all_down(
    tmp_path: Path, backing_format: str, base_bytes: int, options: dict[str, object]
) -> None:
    before = overlay(tmp_path, backing_format, base_bytes, **options)
    done: list[int] = []
    Qcow2Image.commit(tmp_path / "top", progress=done.append)
    assert done == sorted(done)
    assert done[-1] == SIZE
    assert held(tmp_path / "top") == before
    assert read(tmp_path / "base", backing_format)[:SIZE] == before
    report = Qcow2Image.check(tmp_path / "top")
    assert report.clean
    assert report.allocated_clusters == 0
    if backing_format == "qcow2":
        assert Qcow2Image.check(tmp_path / "base").clean
    with Qcow2Image.open(tmp_path / "top") as top:
        top.write(0, b"again")
    Qcow2Image.commit(tmp_path / "top")
    assert read(tmp_path / "base", backing_format)[:5] == b"again"


def test_what_can_not_be_committed_stays_as_it_is(tmp_path: Path) -> None:
    before = overlay(tmp_path, "raw")
    Qcow2Image.create(tmp_path / "alone", SIZE).close()
    with pytest.raises(ImageError, match="stands on no other image"):
        Qcow2Image.commit(tmp_path / "alone")
    with Qcow2Image.open(tmp_path / "top", read_only=True), pytest.raises(StoreError, match="is locked"):
        Qcow2Image.commit(tmp_path / "top")
    with Qcow2Image.open(tmp_path / "top") as top:
        top.create_snapshot("one")
    beneath = (tmp_path / "base").read_bytes()
    for move in (Qcow2Image.commit, Qcow2Image.rebase):
        with pytest.raises(ImageError, match="has snapshots, which would change with what they stand on"):
            move(tmp_path / "top")
    assert (tmp_path / "base").read_bytes() == beneath
    assert held(tmp_path / "top") == before


@FORMATS
@pytest.mark.parametrize("new_format", ["raw", "qcow2", ""])
@pytest.mark.parametrize("sizes", [(SIZE, SIZE), (SIZE // 2, SIZE), (SIZE, SIZE // 2)], ids=str)
@pytest.mark.parametrize("options", [{}, {"extended_l2": True}, {"version": 2}], ids=str)
def test_a_rebase_keeps_the_content(
    tmp_path: Path, backing_format: str, new_format: str, sizes: tuple[int, int], options: dict[str, object]
) -> None:
    before = overlay(tmp_path, backing_format, sizes[0], **options)
    name = "other" if new_format else ""
    if new_format:
        base(tmp_path / "other", new_format, sizes[1], 5)
    done: list[int] = []
    Qcow2Image.rebase(tmp_path / "top", name, new_format, progress=done.append)
    assert done == sorted(done)
    assert done[-1] == SIZE
    (tmp_path / "base").unlink()
    assert held(tmp_path / "top") == before
    assert Qcow2Image.check(tmp_path / "top").clean
    with Qcow2Image.open(tmp_path / "top") as top:
        assert (top.header.backing_file, top.header.backing_format) == (name, new_format)


@pytest.mark.parametrize("version", [2, 3])
def test_an_image_that_stands_alone_gets_something_to_stand_on(tmp_path: Path, version: int) -> None:
    with Qcow2Image.create(tmp_path / "top", SIZE, version=version) as top:
        top.write(100_000, b"x" * 70_000)
        before = bytes(top.read(0, SIZE))
    base(tmp_path / "base", "raw", SIZE, 1)
    Qcow2Image.rebase(tmp_path / "top", "base", "raw")
    assert held(tmp_path / "top") == before
    assert Qcow2Image.check(tmp_path / "top").clean


def test_what_is_the_same_beneath_takes_no_space(tmp_path: Path) -> None:
    before = overlay(tmp_path, "raw")
    allocated = Qcow2Image.check(tmp_path / "top").allocated_clusters
    (tmp_path / "same").write_bytes((tmp_path / "base").read_bytes())
    Qcow2Image.rebase(tmp_path / "top", "same", "raw")
    assert Qcow2Image.check(tmp_path / "top").allocated_clusters == allocated
    assert held(tmp_path / "top") == before


def test_an_unsafe_rebase_changes_the_name_only(tmp_path: Path) -> None:
    before = overlay(tmp_path, "raw")
    (tmp_path / "base").rename(tmp_path / "moved")
    with pytest.raises(StoreError, match="no such file"):
        Qcow2Image.rebase(tmp_path / "top", "moved", "raw")
    Qcow2Image.rebase(tmp_path / "top", "moved", "raw", unsafe=True)
    assert held(tmp_path / "top") == before


@pytest.mark.parametrize(
    ("name", "named_format", "message"),
    [
        ("base", "", "the format of the backing file is ''; expected raw or qcow2"),
        ("nbd:there", "raw", "is no name of a file"),
        ("a\0b", "raw", "can't contain a NUL character"),
        ("x" * 1100, "raw", "the name of the backing file has 1100 bytes"),
    ],
)
def test_names_that_can_not_be_are_refused(tmp_path: Path, name: str, named_format: str, message: str) -> None:
    before = overlay(tmp_path, "raw")
    with pytest.raises(ImageError, match=message):
        Qcow2Image.rebase(tmp_path / "top", name, named_format, unsafe=True)
    assert held(tmp_path / "top") == before
