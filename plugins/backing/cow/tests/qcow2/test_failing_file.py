"""Images in a file that fails: at every call in turn, for a while, or because it is full."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tgtcore_cow.qcow2 import mapping
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image

from tgtcore import Buffer, Concurrency, Store, StoreError

CLUSTER = 512
SIZE = 400 * CLUSTER


class Failing(Store):
    """A file in memory, one of whose calls fails, or several in a row.

    A write that fails has written its first half.
    """

    concurrency = Concurrency.PARALLEL

    def __init__(self) -> None:
        self.content = bytearray()
        self.blocks_left = 1 << 40
        """So many more blocks of 512 bytes can take space."""
        self._taken: set[int] = set()
        self.calls = 0
        self.fails: range = range(0)
        """Numbers of the calls that fail."""

    @property
    def size_bytes(self) -> int:  # type: ignore[override]
        return len(self.content)

    def _call(self) -> None:
        self.calls += 1
        if self.calls - 1 in self.fails:
            raise OSError(errno.EIO, "this call was to fail")

    def read(self, offset: int, length: int) -> Buffer:
        assert 0 <= offset <= offset + length <= len(self.content)
        self._call()
        return bytes(self.content[offset : offset + length])

    def write(self, offset: int, data: Buffer) -> None:
        assert 0 <= offset <= offset + len(data) <= len(self.content)
        blocks = set(range(offset // 512, -(-(offset + len(data)) // 512))) - self._taken
        try:
            self._call()
        except OSError:
            data = data[: len(data) // 2 // 512 * 512]
            raise
        finally:
            if len(blocks) <= self.blocks_left:
                self.blocks_left -= len(blocks)
                self._taken |= blocks
                self.content[offset : offset + len(data)] = data
        if not blocks <= self._taken:
            raise OSError(errno.ENOSPC, "no room is left")

    def flush(self) -> None:
        self._call()

    def unmap(self, offset: int, length: int) -> None:
        assert 0 <= offset <= offset + length <= len(self.content)
        self._call()
        gone = set(range(-(-offset // 512), (offset + length) // 512)) & self._taken
        self.blocks_left += len(gone)
        self._taken -= gone
        self.content[offset : offset + length] = bytes(length)

    def resize(self, size_bytes: int) -> None:
        assert size_bytes >= len(self.content), "the image's file became shorter"
        self._call()
        self.content.extend(bytes(size_bytes - len(self.content)))


def sound(file: Failing) -> None:
    """No error, whatever became of it."""
    report = check(file)
    assert not report.errors, report.errors


def clean(file: Failing) -> None:
    """No leak either."""
    sound(file)
    assert not (leaks := check(file).leaks), leaks


@dataclass
class Disk:
    """An image, and what each of its sectors may hold: what was written last, or what a failing call was to write."""

    image: Image
    sectors: list[set[bytes]]
    shrinking: set[int] = field(default_factory=set)
    """How many sectors there may be instead: one tried to make them fewer."""

    def change(self, offset: int, data: bytes, call: Callable[[], object]) -> None:
        """Something writes data to a range, or fails to."""
        pieces = {offset // 512 + at: data[at * 512 : (at + 1) * 512] for at in range(len(data) // 512)}
        try:
            call()
        except (OSError, StoreError):
            for number, piece in pieces.items():
                self.sectors[number] = self.sectors[number] | {piece}
            raise
        for number, piece in pieces.items():
            self.sectors[number] = {piece}

    def write(self, offset: int, data: bytes, how: str = "write") -> None:
        self.change(offset, data, lambda: getattr(self.image, how)(offset, data))

    def clear(self, offset: int, length: int, how: str) -> None:
        self.change(offset, bytes(length), lambda: getattr(self.image, how)(offset, length))

    def shrink(self, sectors: int) -> None:
        """Make the disk shorter; it loses nothing where that fails."""
        self.shrinking.add(sectors)
        self.image.resize(sectors * 512)
        self.shrinking.clear()
        del self.sectors[sectors:]

    def assert_content(self, image: Image) -> None:
        there = min(len(self.sectors), image.size_bytes // 512)
        assert there in {len(self.sectors), *self.shrinking}
        content = bytes(image.read(0, there * 512))
        for number, possible in enumerate(self.sectors[:there]):
            found = content[number * 512 : (number + 1) * 512]
            assert found in possible, f"sector {number}: {found[:8]!r}, expected one of {[one[:8] for one in possible]}"


def pattern(seed: int, sectors: int) -> bytes:
    return b"".join(bytes([seed, at & 255]) * 256 for at in range(sectors))


Step = Callable[[Disk], object]

SCRIPT: tuple[Step, ...] = (
    lambda disk: disk.write(0, pattern(1, 150)),
    lambda disk: disk.image.flush(),
    lambda disk: disk.write(512 * 70, pattern(2, 90), "write_through"),
    lambda disk: disk.image.create_snapshot("one"),
    lambda disk: disk.write(512 * 10, pattern(3, 100)),
    lambda disk: disk.clear(512 * 30, 512 * 60, "unmap"),
    lambda disk: disk.clear(512 * 100, 512 * 40, "write_zeroes"),
    lambda disk: disk.image.flush(),
    lambda disk: disk.write(512 * 35, pattern(4, 30)),
    lambda disk: disk.image.create_snapshot("two"),
    lambda disk: disk.image.delete_snapshot("one"),
    lambda disk: disk.write(512 * 250, pattern(5, 150)),
    lambda disk: disk.clear(0, 512 * 300, "unmap"),
    lambda disk: disk.image.flush(),
    lambda disk: disk.write(512 * 5, pattern(6, 60)),
    lambda disk: disk.image.resize(SIZE * 20),
    lambda disk: disk.image.delete_snapshot("two"),
    lambda disk: disk.write(512 * 100, pattern(7, 200)),
    lambda disk: disk.image.flush(),
    lambda disk: disk.image.create_snapshot("three"),
    lambda disk: disk.shrink(217),
    lambda disk: disk.image.flush(),
)


def new(**options: object) -> Failing:
    file = Failing()
    create(file, CreateOptions(SIZE, cluster_bytes=CLUSTER, **options))  # type: ignore[arg-type]
    return file


def run(file: Failing, fails: range = range(0)) -> bool:
    """Carry out the script, and judge; returns whether something failed."""
    disk = Disk(Image(file), [{bytes(512)} for _ in range(SIZE // 512)])
    file.calls, file.fails = 0, fails
    failed = refused = False
    for step in SCRIPT:
        try:
            step(disk)
        except (OSError, StoreError) as error:
            failed = True
            refused |= "takes no writes any more" in str(error)
    file.fails = range(0)
    if refused:
        # what came after the failure was refused; everything before it is there when the image is opened again
        with pytest.raises(StoreError, match="open it again"):
            disk.image.flush()
        disk.image.close()
        sound(file)
        disk.assert_content(Image(file))
        return True
    disk.assert_content(disk.image)
    disk.image.flush()
    clean(file)
    disk.assert_content(Image(file, read_only=True))
    for snapshot in disk.image.snapshots:
        disk.image.delete_snapshot(snapshot.id)
    disk.image.unmap(0, disk.image.size_bytes)
    disk.image.close()
    clean(file)
    return failed


def fail_each(every: int, length: int) -> None:
    """Let each call fail in turn, or every so-manieth one; and so many that follow it."""
    file = new()
    assert not run(file)
    for number in range(0, file.calls, every):
        try:
            run(new(), range(number, number + length))
        except BaseException as error:
            error.add_note(f"calls {number} to {number + length - 1} failed")
            raise


@pytest.fixture(params=["few tables", "many tables"])
def tables(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "few tables":
        monkeypatch.setattr(mapping, "TABLES_BYTES_MAX", 0)
        monkeypatch.setattr(mapping, "_TABLES_MIN", 3)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow, id="each"), pytest.param(11, id="every eleventh")]
)
def test_whatever_call_fails_the_image_stays_sound_and_keeps_what_it_took(every: int, length: int) -> None:
    fail_each(every, length)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("room", range(0, 900, 45))
def test_where_no_room_is_left_all_that_was_taken_can_still_be_flushed(room: int) -> None:
    file = new()
    disk = Disk(Image(file), [{bytes(512)} for _ in range(SIZE // 512)])
    file.blocks_left = room
    for step in SCRIPT:
        try:
            step(disk)
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
        except StoreError as error:
            assert "there is no snapshot" in str(error), error  # for want of room
        disk.image.flush()
        clean(file)
        disk.assert_content(Image(file, read_only=True))
    file.blocks_left = 1 << 40
    disk.write(0, pattern(8, len(disk.sectors)))
    disk.image.close()
    clean(file)
    disk.assert_content(Image(file))


def test_what_was_written_where_hardly_any_room_was_left_can_be_flushed() -> None:
    """Tables are spread over a large disk, and their places in the file have been empty until now."""
    size = 64 << 20
    file = Failing()
    create(file, CreateOptions(size, cluster_bytes=CLUSTER))
    image = Image(file)
    file.blocks_left = 150
    taken = []
    for at in range(0, size, size // 200):
        try:
            image.write(at // 512 * 512, b"x" * 512)
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            break
        taken.append(at // 512 * 512)
    image.flush()
    clean(file)
    again = Image(file, read_only=True)
    assert len(taken) > 20
    assert all(again.read(at, 512) == b"x" * 512 for at in taken)
