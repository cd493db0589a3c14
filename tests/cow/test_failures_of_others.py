"""What has broken other implementations of qcow2 and its like, each by its cause."""

import errno
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from cow.bases import Base, Interrupted
from cow.history import History, assert_same
from cow.judges import OwnJudge
from cow.operations import Worker, random_spot
from cow.shapes import Files, Shape
from tgtcore_cow import Corrupt, ImageError, Qcow2Image
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.header import Compatible, Incompatible
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.layout import COPIED, OFFSET
from tgtcore_cow.qcow2.refcount_codec import unpack

from tgtcore import Features, StoreError
from tgtcore.testing.threads import at_once, interrupted_often

JUDGE = OwnJudge()
SMALL = Shape(cluster_bits=9, clusters=128)


@pytest.fixture
def busy_threads() -> Iterator[None]:
    with interrupted_often():
        yield


# ---- several at once ------------------------------------------------------------------------------------------------


def _rewriting(image: Image, content: bytearray, lane: int, lanes: int) -> None:
    """Write sectors of one's own, which share clusters with those of others, and read them."""
    chance = Random(lane)
    sectors = range(lane, len(content) // 512, lanes)
    for _ in range(150):
        at = chance.choice(sectors) * 512
        data = chance.randbytes(512)
        if not image.write_nowait(at, data):
            image.write(at, data)
        content[at : at + 512] = data
        at = chance.choice(sectors) * 512
        assert_same(image.read(at, 512), content[at : at + 512], "read", at)
        if chance.random() < 0.1:
            image.flush()


@pytest.mark.usefixtures("busy_threads")
@pytest.mark.parametrize("extended_l2", [False, True])
def test_caches_shared_between_queues(extended_l2: bool) -> None:
    files = Files.make(Shape(cluster_bits=14, clusters=20, extended_l2=extended_l2, backing="raw"))
    image, content = files.open(), bytearray(files.content)
    at_once(*(lambda lane=lane: _rewriting(image, content, lane, 4) for lane in range(4)))
    image.flush()
    assert_same(image.read(0, len(content)), content, "read")
    JUDGE.assert_clean(files)
    JUDGE.assert_content(files, bytes(content))


@pytest.mark.usefixtures("busy_threads")
def test_snapshots_deleted_while_somebody_writes() -> None:
    files = Files.make(SMALL)
    image, content = files.open(), bytearray(files.content)

    def keep_and_delete() -> None:
        for number in range(12):
            image.create_snapshot(f"number {number}")
            if number > 1:
                image.delete_snapshot(f"number {number - 2}")

    at_once(
        keep_and_delete,
        lambda: _rewriting(image, content, 0, 2),
        lambda: _rewriting(image, content, 1, 2),
    )
    image.flush()
    assert_same(image.read(0, len(content)), content, "read")
    JUDGE.assert_clean(files)


@pytest.mark.usefixtures("busy_threads")
def test_a_check_while_somebody_writes() -> None:
    """What is in the file may lag behind at any moment, but it is never wrong."""
    files = Files.make(SMALL)
    image, content = files.open(), bytearray(files.content)
    checks = 0

    def check_copies() -> None:
        nonlocal checks
        for _ in range(40):
            JUDGE.assert_usable(files.copy())
            checks += 1

    at_once(check_copies, lambda: _rewriting(image, content, 0, 1))
    assert checks == 40


def test_a_check_and_a_repair_of_an_image_that_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "image.qcow2"
    with Qcow2Image.create(path, 1 << 20) as image:
        image.write(0, b"w" * 512)
        for look_at in (Qcow2Image.check, Qcow2Image.repair):
            with pytest.raises(StoreError, match=r"image\.qcow2 is locked by"):
                look_at(path)
        image.flush()
    assert Qcow2Image.check(path).clean


# ---- what is free ---------------------------------------------------------------------------------------------------


def test_live_tables_handed_out_as_free_clusters() -> None:
    """It took days of writes elsewhere; there are few clusters here, all of them are taken and freed many times."""
    files = Files.make(replace(SMALL, clusters=80))
    chance = Random(8606)
    worker = Worker(files.open(), History(bytearray(files.content)), chance)
    for number in range(2500):
        if chance.random() < 0.5:
            worker.write(random_spot(chance), chance.choice(("write", "write_nowait")))
        else:
            worker.clear(random_spot(chance), "unmap")
        if number % 25 == 0:
            worker.flush()
            JUDGE.assert_clean(files)
            worker.assert_content()
    worker.assert_content()


def test_a_stale_hole_punched_into_a_cluster_that_has_a_new_owner() -> None:
    files = Files.make(SMALL)
    worker = Worker(files.open(), History(bytearray(files.content)), Random(1))
    worker.image.write(0, b"o" * 8192)
    worker.image.close()
    data = Random(8624).randbytes(32768)
    file = Interrupted(files.image.content, "unmap", before=lambda: image.write(16384, data))
    image = Image(file)
    image.unmap(0, 8192)
    image.flush()
    for thread in file.threads:
        thread.join(30)
        assert not thread.is_alive()
    assert file.threads, "a hole was punched"
    assert image.read(16384, len(data)) == data
    image.close()
    assert check(file).clean


# ---- where data may be ----------------------------------------------------------------------------------------------


def _first_l2(files: Files) -> int:
    header = read_header(files.image)
    entry: int = struct.unpack_from(">Q", files.image.content, header.l1_offset)[0]
    return entry & OFFSET


@pytest.mark.parametrize("extended_l2", [False, True])
@pytest.mark.parametrize("entry", [COPIED, COPIED | 1, COPIED | 2], ids=hex)
@pytest.mark.parametrize("how", ["write", "write_nowait", "write_through", "write_zeroes"])
def test_offset_0_taken_for_a_place_of_data(how: str, entry: int, extended_l2: bool) -> None:
    files = Files.make(Shape(clusters=4, extended_l2=extended_l2))
    with_table = files.open()
    with_table.write(0, b"x" * 512)
    with_table.close()
    struct.pack_into(">Q", files.image.content, _first_l2(files) + (16 if extended_l2 else 8), entry)
    before = bytes(files.image.content[:65536])
    image = files.open()
    if how == "write_zeroes":
        image.write_zeroes(65536, 1024)
    elif getattr(image, how)(65536, b"z" * 1024) is False:
        image.write(65536, b"z" * 1024)
    image.flush()
    assert files.image.content[:65536] == before
    assert image.read(0, 512) == b"x" * 512
    assert image.read(65536, 1024) == (bytes(1024) if how == "write_zeroes" else b"z" * 1024)


@pytest.mark.parametrize("table", ["refcount_table_offset", "l1_offset"])
def test_data_over_a_table(table: str) -> None:
    files = Files.make(Shape(clusters=4))
    with_table = files.open()
    with_table.write(0, b"x" * 512)
    with_table.close()
    place = getattr(read_header(files.image), table)
    struct.pack_into(">Q", files.image.content, _first_l2(files), place | COPIED)
    before = bytes(files.image.content)
    image = files.open()
    with pytest.raises(Corrupt, match="where the image's tables are"):
        image.write(0, b"z" * 512)
    assert files.image.content == before


def _marks(files: Files) -> Iterator[tuple[str, bool, int]]:
    """For each entry of the L1 table and of L2 tables: what it is, whether it is marked as used once, and how often it is used."""
    header, content = read_header(files.image), files.image.content
    bits = header.cluster_bits
    counts: list[int] = []
    for at in range(
        header.refcount_table_offset, header.refcount_table_offset + (header.refcount_table_clusters << bits), 8
    ):
        block = struct.unpack_from(">Q", content, at)[0]
        counts += unpack(content[block : block + (1 << bits)], header.refcount_order) if block else []
    for root in range(header.l1_entries):
        entry = struct.unpack_from(">Q", content, header.l1_offset + root * 8)[0]
        if not entry & OFFSET:
            continue
        yield f"L1 {root}", bool(entry & COPIED), counts[(entry & OFFSET) >> bits]
        for at in range(0, 1 << bits, 8):
            data = struct.unpack_from(">Q", content, (entry & OFFSET) + at)[0]
            if data & OFFSET:
                yield f"L2 {root}, {at // 8}", bool(data & COPIED), counts[(data & OFFSET) >> bits]


def test_copied_marks_that_are_missing_or_wrong() -> None:
    files = Files.make(SMALL)
    chance = Random(7526)
    worker = Worker(files.open(), History(bytearray(files.content)), chance)
    seen = set()
    for number in range(60):
        worker.write(random_spot(chance), "write")
        if number % 3 == 0:
            worker.create_snapshot(f"number {number}")
        elif number % 5 == 0:
            worker.delete_snapshot(chance.choice(list(worker.history.snapshots)))
        elif number % 7 == 0:
            worker.revert(chance.choice(list(worker.history.snapshots)))
        worker.flush()
        for what, marked, count in _marks(files):
            assert marked == (count == 1), f"{what} after operation {number}: used {count} times"
            seen.add((what[:2], marked))
    assert {("L1", True), ("L2", True), ("L2", False)} <= seen


# ---- what the header says -------------------------------------------------------------------------------------------


def test_an_image_marked_as_corrupt_opened_for_writing() -> None:
    files = Files.make(SMALL)
    header = replace(read_header(files.image), incompatible=Incompatible.CORRUPT)
    files.image.write(0, header.patched(bytes(files.image.read(0, 512))))
    before = bytes(files.image.content)
    with pytest.raises(Corrupt, match="marked as corrupt"):
        files.open()
    assert files.open(read_only=True).read(0, 512) == bytes(512)
    assert files.image.content == before


def test_lazy_reference_counts_silently_cleared() -> None:
    files = Files.make(replace(SMALL, lazy_refcounts=True))
    for _ in range(2):
        image = files.open()
        image.write(0, b"l" * 4096)
        image.create_snapshot(f"snapshot {len(image.snapshots)}")
        image.close()
        header = read_header(files.image)
        assert header.compatible == Compatible.LAZY_REFCOUNTS
        assert not header.incompatible


@pytest.mark.parametrize("place", [(1 << 16) - 3, 1 << 16, 1 << 20, (1 << 63)])
def test_the_name_of_the_backing_file_outside_the_first_cluster(place: int) -> None:
    """Else it could be any bytes of the image, those of the guest too."""
    files = Files.make(Shape(clusters=4))
    files.image.resize(2 << 20)
    files.image.write(1 << 16, b"/etc/passwd")
    files.image.write(1 << 20, b"/etc/passwd")
    files.image.write(8, struct.pack(">QI", place, 11))
    for read_only in (False, True):
        with pytest.raises(ImageError, match="name of the backing file"):
            files.open(read_only=read_only)


class _Unwritten(Base):
    """Finds out who writes all the same."""

    def write(self, offset: int, data: object) -> None:
        raise AssertionError(f"written at {offset}")

    def unmap(self, offset: int, length: int) -> None:
        raise AssertionError(f"unmapped at {offset}")

    def resize(self, size_bytes: int) -> None:
        raise AssertionError(f"resized to {size_bytes}")


def test_read_only_ignored() -> None:
    files = Files.make(Shape(clusters=4, backing="qcow2"))
    files.open().write(0, b"w" * 512)
    files.image, backing = _Unwritten(files.image.content), files.backing
    for name, base in backing.items():
        backing[name] = _Unwritten(base.content)
    image = files.open(read_only=True)
    assert image.features() == Features.EXTENTS
    for refused in (
        lambda: image.write(0, b"w"),
        lambda: image.write_nowait(0, b"w"),
        lambda: image.write_through(0, b"w"),
        lambda: image.unmap(0, 65536),
        lambda: image.write_zeroes(0, 65536),
        lambda: image.resize(1 << 20),
        lambda: image.create_snapshot("new"),
        lambda: image.delete_snapshot("new"),
        lambda: image.revert_snapshot("new"),
    ):
        with pytest.raises(OSError, match="reading only") as error:
            refused()
        assert error.value.errno == errno.EROFS
    image.flush()
    image.close()


def test_a_store_under_an_image_that_can_not_be_written() -> None:
    class ReadOnly(Base):
        def features(self) -> Features:
            return Features.EXTENTS

    image = Image(ReadOnly(Files.make(SMALL).image.content))
    assert Features.WRITE not in image.features()
    with pytest.raises(OSError, match="reading only"):
        image.write(0, b"w" * 512)


# ---- used more than once --------------------------------------------------------------------------------------------


def test_corrupted_after_one_use(tmp_path: Path) -> None:
    path, chance = tmp_path / "image.qcow2", Random(6844)
    Qcow2Image.create(path, 1 << 20, cluster_bytes=4096).close()
    content = bytearray(1 << 20)
    for _ in range(30):
        with Qcow2Image.open(path) as image:
            assert_same(image.read(0, len(content)), content, "read")
            at, data = chance.randrange(2000) * 512, chance.randbytes(chance.randrange(1, 48) * 512)
            image.write(at, data)
            content[at : at + len(data)] = data
        assert Qcow2Image.check(path).clean
