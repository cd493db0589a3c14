"""The kit is judged too: each careless store must be caught by the test that is meant for it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from tgtcore.store import Buffer, Concurrency, Extent, Features, OpenFile, Region, Store
from tgtcore.testing.ram import RamStore
from tgtcore.testing.store import StoreConformance


class ReadsShort(RamStore):
    def read(self, offset: int, length: int) -> Buffer:
        return super().read(offset, length)[:65536]


class ReadsLiveMemory(RamStore):
    def read(self, offset: int, length: int) -> Buffer:
        return memoryview(self.content)[offset : offset + length]


class WritesTooMuch(RamStore):
    def write(self, offset: int, data: Buffer) -> None:
        super().write(offset, bytes(data) + b"!" * (offset + len(data) < self.size_bytes))


class KeepsTheBuffer(RamStore):
    latest: tuple[int, Buffer] | None = None

    def write(self, offset: int, data: Buffer) -> None:
        self.read(0, 1)
        self.latest = offset, data

    def read(self, offset: int, length: int) -> Buffer:
        if self.latest:
            super().write(*self.latest)
        return super().read(offset, length)


class DropsNowaitWrites(RamStore):
    def write_nowait(self, offset: int, data: Buffer) -> bool:
        return True


class StaleNowaitReads(RamStore):
    def read_nowait(self, offset: int, length: int) -> Buffer:
        return bytes(length)


class DropsWriteThrough(RamStore):
    def write_through(self, offset: int, data: Buffer) -> None: ...


class UnmapsNothing(RamStore):
    def unmap(self, offset: int, length: int) -> None: ...


class UnmapsWholePagesOnly(RamStore):
    def unmap(self, offset: int, length: int) -> None:
        first, end = -(-offset // 4096) * 4096, (offset + length) // 4096 * 4096
        super().unmap(first, max(end - first, 0))


class ZeroesTooMuch(RamStore):
    def write_zeroes(self, offset: int, length: int) -> None:
        super().write_zeroes(offset // 4096 * 4096, length)


class ExtentsWithAGap(RamStore):
    def extents(self, offset: int, length: int) -> tuple[Extent]:
        return (Extent(offset + 1, length - 1, True),)


class ExtentsBeyondTheRange(RamStore):
    def extents(self, offset: int, length: int) -> tuple[Extent]:
        return (Extent(offset, length + 1, True),)


class ExtentsOfNothing(RamStore):
    def extents(self, offset: int, length: int) -> tuple[Any]:
        return ()  # type: ignore[return-value]


class CallsDataAHole(RamStore):
    def extents(self, offset: int, length: int) -> tuple[Extent]:
        return (Extent(offset, length, False),)


class KeepsTheOldTail(RamStore):
    def resize(self, size_bytes: int) -> None:
        self.content.extend(bytes(max(size_bytes - len(self.content), 0)))
        self.size_bytes = size_bytes


class ForgetsItsNewSize(RamStore):
    def resize(self, size_bytes: int) -> None:
        size = self.size_bytes
        super().resize(size_bytes)
        self.size_bytes = size


class ReadOnlyButThin(RamStore):
    def features(self) -> Features:
        return super().features() & ~Features.WRITE


class OddGeometry(RamStore):
    block_bytes = 3


class WrongRegion(RamStore):
    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self._file = OpenFile(os.memfd_create("region"))
        os.pwrite(self._file.fd, b"?" * size_bytes, 0)

    def region(self, offset: int, length: int) -> Region | None:
        return Region(self._file, offset, length)


class ReadsTooMuch(RamStore):
    def read(self, offset: int, length: int) -> Buffer:
        return self.content[offset : offset + length + 1].ljust(length + 1, b"\0")


class ReadsNumbers(RamStore):
    def read(self, offset: int, length: int) -> Any:
        return list(super().read(offset, length))


class ReadsNothing(RamStore):
    def read(self, offset: int, length: int) -> Any:
        return None


class ReadsShortAtOnce(RamStore):
    def read_nowait(self, offset: int, length: int) -> Buffer:
        return self.read(offset, length)[:-1]


class WritesInPart(RamStore):
    def write(self, offset: int, data: Buffer) -> None:
        super().write(offset, bytes(data)[:65536])


class UnmapsTooMuch(RamStore):
    def unmap(self, offset: int, length: int) -> None:
        start = offset // 4096 * 4096
        super().unmap(start, min(length + 4096, self.size_bytes - start))


class LosesContentWhenResized(RamStore):
    def resize(self, size_bytes: int) -> None:
        self.content = bytearray(size_bytes)
        self.size_bytes = size_bytes


class SharesItsPosition(RamStore):
    """Sound as long as one call is made at a time."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.position = 0

    def read(self, offset: int, length: int) -> Buffer:
        self.position = offset
        sleep(0.0001)
        return super().read(self.position, length)


class TakesOneCallAtATime(SharesItsPosition):
    concurrency = Concurrency.SERIAL


class RefusesToKeepItsSize(RamStore):
    def resize(self, size_bytes: int) -> None:
        self.content = bytearray(size_bytes)


class FlushesBytesAway(RamStore):
    def flush(self) -> None:
        self.content[:512] = bytes(512)


class ExtentsWithoutLength(RamStore):
    def extents(self, offset: int, length: int) -> tuple[Extent]:
        return (Extent(offset, 0, True),)


Kit = Callable[[StoreConformance, Any], None]
_CLEARED = StoreConformance.test_cleared_ranges_read_as_zeroes


def _clears(how: str) -> Kit:
    return lambda kit, mirror: _CLEARED(kit, mirror, how)


CAUGHT: list[tuple[type[RamStore], Kit, str]] = [
    (ReadsShort, StoreConformance.test_a_new_store_holds_what_it_should, "gave 65536 bytes, expected"),
    (ReadsLiveMemory, StoreConformance.test_what_was_read_does_not_change, "later write changed"),
    (WritesTooMuch, StoreConformance.test_writes_read_back_and_leave_the_rest_alone, "byte 1 is 0x21, expected 0x00"),
    (KeepsTheBuffer, StoreConformance.test_a_written_buffer_is_not_kept, "read: byte 0 is 0x00"),
    (DropsNowaitWrites, StoreConformance.test_nowait_and_blocking_forms_agree, "read: byte 0 is 0x00"),
    (StaleNowaitReads, StoreConformance.test_writes_read_back_and_leave_the_rest_alone, "read_nowait: byte 0"),
    (DropsWriteThrough, StoreConformance.test_write_through_writes, "read: byte 0"),
    (UnmapsNothing, _clears("unmap"), "expected 0x00"),
    (UnmapsWholePagesOnly, _clears("unmap"), "expected 0x00"),
    (ZeroesTooMuch, _clears("write_zeroes"), "is 0x00, expected"),
    (ExtentsWithAGap, StoreConformance.test_extents_cover_and_tell_the_truth, "begins elsewhere"),
    (ExtentsBeyondTheRange, StoreConformance.test_extents_cover_and_tell_the_truth, "ends beyond"),
    (ExtentsOfNothing, StoreConformance.test_extents_cover_and_tell_the_truth, "covers nothing"),
    (CallsDataAHole, StoreConformance.test_extents_cover_and_tell_the_truth, r"allocated=False\): byte 0"),
    (KeepsTheOldTail, StoreConformance.test_a_longer_store_ends_in_zeroes, "expected 0x00"),
    (ForgetsItsNewSize, StoreConformance.test_a_longer_store_ends_in_zeroes, "size_bytes must tell"),
    (ReadOnlyButThin, StoreConformance.test_features_are_what_the_class_defines_or_less, "without WRITE"),
    (OddGeometry, StoreConformance.test_geometry, "block_bytes is 3, expected a power of two"),
    (ReadsTooMuch, StoreConformance.test_a_new_store_holds_what_it_should, "gave 2 bytes, expected 1"),
    (ReadsNumbers, StoreConformance.test_a_new_store_holds_what_it_should, "gave a list, expected bytes"),
    (ReadsNothing, StoreConformance.test_a_new_store_holds_what_it_should, "gave a NoneType, expected bytes"),
    (
        ReadsShortAtOnce,
        StoreConformance.test_a_new_store_holds_what_it_should,
        "read_nowait at 0 gave 0 bytes, expected 1",
    ),
    (WritesInPart, StoreConformance.test_writes_read_back_and_leave_the_rest_alone, "read: byte .* is 0x00"),
    (UnmapsTooMuch, _clears("unmap"), "is 0x00, expected"),
    (LosesContentWhenResized, StoreConformance.test_the_same_size_is_no_change, "is 0x00, expected"),
    (RefusesToKeepItsSize, StoreConformance.test_a_longer_store_ends_in_zeroes, "size_bytes must tell"),
    (SharesItsPosition, StoreConformance.test_calls_at_the_same_time, "has another one's bytes|is not zero"),
    (FlushesBytesAway, StoreConformance.test_flush_changes_nothing, "is 0x00, expected"),
    (ExtentsWithoutLength, StoreConformance.test_extents_cover_and_tell_the_truth, "is empty or ends beyond"),
    (WrongRegion, StoreConformance.test_a_new_store_holds_what_it_should, "region: byte 0 is 0x3f"),
]


def _kit(cls: type[RamStore]) -> StoreConformance:
    kit = StoreConformance()
    kit.make_store = lambda folder: cls(512 * 1024)  # type: ignore[method-assign]
    return kit


@pytest.mark.parametrize(("careless", "test", "message"), CAUGHT, ids=[case[0].__name__ for case in CAUGHT])
def test_a_careless_store_is_caught(careless: type[RamStore], test: Kit, message: str, tmp_path: Path) -> None:
    kit = _kit(careless)
    with kit.opened(tmp_path) as mirror, pytest.raises(AssertionError, match=message):
        test(kit, mirror)


def test_a_store_that_takes_one_call_at_a_time_gets_one_at_a_time(tmp_path: Path) -> None:
    kit = _kit(TakesOneCallAtATime)
    with kit.opened(tmp_path) as mirror:
        kit.test_calls_at_the_same_time(mirror)
        assert TakesOneCallAtATime.concurrency is Concurrency.SERIAL


def test_a_store_that_keeps_its_content_must_say_so(tmp_path: Path) -> None:
    kept: list[RamStore] = []

    def make(folder: Path) -> Store:
        kept.append(kept[-1] if kept else RamStore(512 * 1024))
        return kept[-1]

    kit = StoreConformance()
    kit.make_store = make  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="expected 0x00"):
        kit.test_content_outlives_the_store(tmp_path)


class OnlyReads(Store):
    size_bytes = 512 * 1024

    def read(self, offset: int, length: int) -> Buffer:
        return bytes(length)


class OnlyWrites(OnlyReads):
    def __init__(self) -> None:
        self.content = bytearray(self.size_bytes)

    def read(self, offset: int, length: int) -> Buffer:
        return bytes(self.content[offset : offset + length])

    def write(self, offset: int, data: Buffer) -> None:
        self.content[offset : offset + len(data)] = data

    def flush(self) -> None: ...


class TestOnlyReads(StoreConformance):
    """What is not offered is tested too."""

    def make_store(self, folder: Path) -> Store:
        return OnlyReads()


class TestOnlyWrites(StoreConformance):
    """The core emulates what can be emulated."""

    def make_store(self, folder: Path) -> Store:
        return OnlyWrites()


class WritesInSecret(OnlyReads):
    """Says that it takes no writes, and changes all the same."""

    reads = 0

    def read(self, offset: int, length: int) -> Buffer:
        self.reads += 1
        return bytes((self.reads > 1,)) * length


def test_a_store_that_changes_although_it_takes_no_writes_is_caught(tmp_path: Path) -> None:
    kit = StoreConformance()
    kit.make_store = lambda folder: WritesInSecret()  # type: ignore[method-assign]
    with kit.opened(tmp_path) as mirror:
        kit.test_writes_read_back_and_leave_the_rest_alone(mirror)
        with pytest.raises(AssertionError, match="is 0x01, expected 0x00"):
            kit.test_writes_read_back_and_leave_the_rest_alone(mirror)


@pytest.mark.parametrize("careless", [UnmapsWholePagesOnly, DropsWriteThrough])
def test_random_operations_find_it_too(careless: type[RamStore], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"byte .* expected"):
        _kit(careless).test_random_operations(tmp_path)


def test_a_store_that_forgets_is_not_persistent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = _kit(RamStore)
    monkeypatch.setattr(StoreConformance, "persistent", True)
    with pytest.raises(AssertionError, match="read: byte 0 is 0x00"):
        kit.test_content_outlives_the_store(tmp_path)


def test_a_store_that_forgets_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Modest(RamStore):
        kept = RamStore(1024 * 1024)

        def __init__(self, size_bytes: int) -> None:
            super().__init__(size_bytes)
            self.content = Modest.kept.content

    kit = _kit(Modest)
    monkeypatch.setattr(StoreConformance, "persistent", True)
    with pytest.raises(AssertionError, match="persistent = True"):
        kit.test_content_outlives_the_store(tmp_path)


def test_an_offer_without_a_method_is_caught(tmp_path: Path) -> None:
    class Boastful(Store):
        size_bytes = 512 * 1024

        def read(self, offset: int, length: int) -> bytes:
            return bytes(length)

        def features(self) -> Features:
            return Features.WRITE

    kit = StoreConformance()
    kit.make_store = lambda folder: Boastful()  # type: ignore[method-assign]
    with kit.opened(tmp_path) as mirror, pytest.raises(AssertionError, match="does not define"):
        kit.test_features_are_what_the_class_defines_or_less(mirror)


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_without_its_libraries_the_kit_says_what_to_install(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; import tgtcore.testing.store"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"the conformance kit needs {missing}; install what it uses with: pip install pytest" in done.stderr
