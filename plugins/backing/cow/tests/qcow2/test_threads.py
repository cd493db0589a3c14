"""Images that many threads use at once."""

import threading
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
from tgtcore_cow.qcow2 import mapping
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image

from tgtcore import StoreError
from tgtcore.testing.ram import RamStore
from tgtcore.testing.threads import at_once, interrupted_often

SECTOR = 512


@pytest.fixture(autouse=True)
def _interrupted_often() -> Iterator[None]:
    with interrupted_often():
        yield


@pytest.fixture(params=["few tables", "many tables"])
def tables(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "few tables":
        monkeypatch.setattr(mapping, "TABLES_BYTES_MAX", 0)
        monkeypatch.setattr(mapping, "_TABLES_MIN", 4)


def new(size_bytes: int, backing: bytes = b"", **options: object) -> tuple[RamStore, Image]:
    file = RamStore(0)
    named = {"backing_file": "beneath", "backing_format": "raw"} if backing else {}
    create(file, CreateOptions(size_bytes, **named, **options))  # type: ignore[arg-type]
    return file, Image(file, backing=ram(backing) if backing else None)


def ram(content: bytes) -> RamStore:
    store = RamStore(len(content))
    store.write(0, content)
    return store


def assert_clean(file: RamStore) -> None:
    report = check(file)
    assert not report.errors, report.errors
    assert not report.leaks, report.leaks


class Owner:
    """Works in sectors of the disk that nobody else writes to, and knows what is in them.

    :param sectors: which ones.
    """

    def __init__(self, image: Image, sectors: range, seed: int, rounds: int, backing: bytes = b"") -> None:
        self.image = image
        self._sectors = sectors
        self._chance = Random(seed)
        self._rounds = rounds
        self.content = {at: backing[at * SECTOR :][:SECTOR].ljust(SECTOR, b"\0") for at in sectors}

    def __call__(self) -> None:
        for _ in range(self._rounds):
            self._change()
            if self._chance.random() < 0.3:
                self.assert_content(self._chance.choice(self._sectors))

    def _change(self) -> None:
        image, chance = self.image, self._chance
        at = chance.choice(self._sectors)
        most = 1 if self._sectors.step > 1 else self._sectors.stop - at
        count = min(most, chance.choice((1, 1, 2, 7, 40)))
        data = bytes([chance.randrange(1, 256)]) * SECTOR * count
        how = chance.choice(("write", "write", "nowait", "nowait", "write_through", "unmap", "write_zeroes", "flush"))
        if how == "flush":
            image.flush()
            return
        if how in ("unmap", "write_zeroes"):
            data = bytes(len(data))
            getattr(image, how)(at * SECTOR, len(data))
        elif how == "nowait":
            if not image.write_nowait(at * SECTOR, data):
                image.write(at * SECTOR, data)
        else:
            getattr(image, how)(at * SECTOR, data)
        for number in range(count):
            self.content[at + number] = data[:SECTOR]

    def assert_content(self, at: int) -> None:
        found = self.image.read_nowait(at * SECTOR, SECTOR)
        if found is None:
            found = self.image.read(at * SECTOR, SECTOR)
        self._same(at, found)

    def _same(self, at: int, found: object) -> None:
        expected = self.content[at]
        assert found == expected, f"sector {at}: {bytes(found)[:4]!r}, expected {expected[:4]!r}"  # type: ignore[call-overload]

    def assert_all(self, image: Image) -> None:
        for at in self.content:
            self._same(at, image.read(at * SECTOR, SECTOR))


def parts(sectors: int, owners: int, shared: bool) -> list[range]:
    """Which sectors each owner has: one range, or every so-manieth one, so that they meet in every cluster."""
    if shared:
        return [range(owner, sectors, owners) for owner in range(owners)]
    return [range(sectors * owner // owners, sectors * (owner + 1) // owners) for owner in range(owners)]


KINDS: dict[str, dict[str, object]] = {
    "small clusters": {"cluster_bytes": 512},
    "larger clusters": {"cluster_bytes": 4096},
    "subclusters": {"cluster_bytes": 16384, "extended_l2": True},
    "version 2": {"cluster_bytes": 1024, "version": 2},
}


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("backed", [False, True], ids=["plain", "backed"])
@pytest.mark.parametrize("shared", [False, True], ids=["apart", "mixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_thread_finds_what_it_wrote(kind: str, shared: bool, backed: bool) -> None:
    sectors = 2400
    backing = b"".join(bytes([at % 251 + 1]) * SECTOR for at in range(1500)) if backed else b""
    file, image = new(sectors * SECTOR, backing, **KINDS[kind])
    owners = [Owner(image, part, number, 60, backing) for number, part in enumerate(parts(sectors, 4, shared))]

    def keep_snapshots() -> None:
        for number in range(4):
            image.create_snapshot(f"now {number}")
            image.flush()
            image.delete_snapshot(f"now {number}")

    at_once(*owners, keep_snapshots)
    for owner in owners:
        owner.assert_all(image)
    image.close()
    assert_clean(file)
    again = Image(file, backing=image._volume.backing, read_only=True)  # type: ignore[attr-defined]
    for owner in owners:
        owner.assert_all(again)


class Growing(RamStore):
    """A file that takes its time to grow."""

    def resize(self, size_bytes: int) -> None:
        threading.Event().wait(0.005)
        assert size_bytes >= self.size_bytes, "the file became shorter"
        super().resize(size_bytes)


@pytest.mark.parametrize("apart", [False, True], ids=["data in the image", "data in a file of its own"])
def test_a_file_that_grows_for_several_at_once_is_never_cut_off(apart: bool) -> None:
    size, part = 24 << 20, 65536
    file, data_file = Growing(0), Growing(0) if apart else None
    options = CreateOptions(size, cluster_bytes=part, data_file="data" if apart else "")
    create(file, options, data_file)
    if data_file is not None:
        RamStore.resize(data_file, 0)
    image = Image(file, data_file=data_file)

    def fill(first: int) -> None:
        for number in range(first, size // part, 4):
            image.write(number * part, bytes([number & 255]) * part)

    def flush() -> None:
        for _ in range(60):
            image.flush()

    at_once(*(partial(fill, first) for first in range(4)), flush)
    assert all(image.read(number * part, part) == bytes([number & 255]) * part for number in range(size // part))
    image.close()
    assert_clean(file)


def test_a_snapshot_is_made_however_busy_the_others_are() -> None:
    file, image = new(1 << 20, cluster_bytes=512)
    done = threading.Event()

    def work(part: int) -> None:
        while not done.is_set():
            image.write(part * 4096, b"x" * 4096)
            image.read(0, 32768)

    def snapshots() -> None:
        try:
            for number in range(10):
                image.create_snapshot(f"{number} times")
        finally:
            done.set()

    at_once(*(partial(work, part) for part in range(4)), snapshots)
    assert len(image.snapshots) == 10
    image.close()
    assert_clean(file)


def test_of_several_snapshots_with_one_name_one_is_made() -> None:
    file, image = new(1 << 18, cluster_bytes=512)
    refused: list[StoreError] = []

    def create_one() -> None:
        try:
            image.create_snapshot("the only one")
        except StoreError as error:
            refused.append(error)

    at_once(*[create_one] * 6)
    assert len(image.snapshots) == 1
    assert len(refused) == 5
    image.close()
    assert_clean(file)


@pytest.mark.parametrize("backed", [False, True], ids=["plain", "backed"])
def test_sizes_and_reverts_at_once_leave_zeroes_behind_every_end(backed: bool) -> None:
    small, large = 100 * SECTOR, 2000 * SECTOR
    backing = b"beneath!" * (large // 8) if backed else b""
    file, image = new(small, backing, cluster_bytes=512)
    image.create_snapshot("small")

    def resize(seed: int) -> None:
        chance = Random(seed)
        for _ in range(8):
            image.resize(chance.randrange(small // SECTOR, large // SECTOR) * SECTOR)

    def revert() -> None:
        for _ in range(6):
            image.revert_snapshot("small")

    def write() -> None:
        for _ in range(100):
            image.write(0, b"w" * small)

    at_once(lambda: resize(1), lambda: resize(2), revert, write)
    image.revert_snapshot("small")
    image.resize(large)
    assert image.read(small, large - small) == bytes(large - small)
    image.close()
    assert_clean(file)


def test_what_was_written_behind_the_end_never_shows_up() -> None:
    """A write that began before the disk was made shorter may end after it."""
    file, image = new(64 * SECTOR, cluster_bytes=4096)
    image.write(0, b"a" * 64 * SECTOR)
    image.resize(12 * SECTOR)
    image.write(10 * SECTOR, b"late" * 128 * 30)
    image.resize(64 * SECTOR)
    assert image.read(0, 64 * SECTOR) == b"a" * 10 * SECTOR + b"late" * 256 + bytes(52 * SECTOR)
    image.close()
    assert_clean(file)


def test_zeroes_that_must_be_written_are_flushed_while_a_snapshot_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "TABLES_BYTES_MAX", 0)
    monkeypatch.setattr(mapping, "_TABLES_MIN", 2)
    size = 1 << 19
    file, image = new(size, b"b" * size, cluster_bytes=512, version=2)

    def clear(start: int) -> None:
        for at in range(start << 15, size, 1 << 17):
            image.unmap(at, 1 << 15)

    def snapshots() -> None:
        for number in range(5):
            image.create_snapshot(f"{number} times")

    at_once(*(partial(clear, start) for start in range(4)), snapshots)
    assert image.read(0, size) == bytes(size)
    image.close()
    assert_clean(file)
