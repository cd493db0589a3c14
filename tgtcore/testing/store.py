"""The conformance kit of stores, formats and filters: every promise of :mod:`tgtcore.store.contract` as a test.

Subclass it in a test module::

    class TestMyStore(StoreConformance):
        def make_store(self, folder: Path) -> Store:
            return MyStore(MyOptions(path=folder / "image", size=2 << 20))

No test is skipped: where a store does not offer an operation, its tests check that the operation is refused and not advertised.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar

try:
    import pytest

    from tgtcore.testing.store_absent import at_the_same_time, check_absent, offered, opened
    from tgtcore.testing.store_model import Mirror, check_random_operations, pattern
    from tgtcore.testing.store_snapshots import SnapshotConformance
except ModuleNotFoundError as missing:
    raise ImportError(
        f"the conformance kit needs {missing.name}; install what it uses with: pip install pytest hypothesis"
    ) from missing

from tgtcore.errors import StoreError
from tgtcore.store import Buffer, Concurrency, Features, Store

_SIZE_MIN, _SIZE_MAX = 256 * 1024, 16 * 1024 * 1024
_CLEARS = pytest.mark.parametrize("how", ["unmap", "write_zeroes"])
_READ_ONLY = ~Features.EXTENTS
_FORMS = pytest.mark.parametrize("form", [bytes, bytearray, lambda data: memoryview(b"<" + data + b">")[1:-1]])


class StoreConformance(SnapshotConformance):
    """Tests that every store passes; a subclass says how to make one."""

    persistent: ClassVar[bool] = False
    """Whether ``make_store`` with the same folder opens what was written there before."""

    resizes: ClassVar[bool] = True
    """Whether ``resize`` takes any size; False where the size is decided elsewhere and only looked up."""

    examples: ClassVar[int] = 40
    """How many random sequences of operations are tried."""

    def make_store(self, folder: Path) -> Store:
        """A store of 256 KiB to 16 MiB; files that it needs belong into ``folder``."""
        raise NotImplementedError

    def initial(self, size_bytes: int) -> bytes:
        """What a new store holds."""
        return bytes(size_bytes)

    def kept(self, data: bytes) -> bytes:
        """What is read after ``data`` was written; only a store that drops data on purpose needs another answer."""
        return data

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Mirror]:
        """A store beside the model of what it holds, closed at the end."""
        store = self.make_store(folder)
        try:
            yield Mirror(store, self.initial(store.size_bytes), self.kept)
        finally:
            store.close()

    @pytest.fixture
    def mirror(self, tmp_path: Path) -> Iterator[Mirror]:
        """A new store beside its model."""
        with self.opened(tmp_path) as mirror:
            yield mirror

    def test_geometry(self, mirror: Mirror) -> None:
        """Sizes and granularities are sensible."""
        store = mirror.store
        assert _SIZE_MIN <= store.size_bytes <= _SIZE_MAX, "make_store must give a store of 256 KiB to 16 MiB"
        for name in ("block_bytes", "preferred_bytes"):
            value = getattr(store, name)
            assert value > 0, f"{name} is {value}"
            assert value & (value - 1) == 0, f"{name} is {value}, expected a power of two"
        assert store.size_bytes % store.block_bytes == 0, "size_bytes must be a multiple of block_bytes"
        assert isinstance(store.concurrency, Concurrency)

    def test_features_are_what_the_class_defines_or_less(self, mirror: Mirror) -> None:
        """An instance may take features back, and never offers what is not there."""
        features = mirror.store.features()
        undefined = features & ~Store.features(mirror.store)
        assert undefined is Features.NONE, f"offers {undefined}, which the class does not define"
        if Features.WRITE not in features:
            assert features & ~Features.EXTENTS is Features.NONE, f"offers {features} without WRITE"

    def test_a_new_store_holds_what_it_should(self, mirror: Mirror) -> None:
        """Every range can be read, and has exactly the length asked for."""
        for offset, length in mirror.ranges():
            mirror.check(offset, length)

    def test_writes_read_back_and_leave_the_rest_alone(self, mirror: Mirror) -> None:
        """After each write everything is compared."""
        if not offered(mirror, Features.WRITE):
            return
        for offset, length in mirror.ranges():
            mirror.write(offset, length)
            mirror.check()

    @_FORMS
    def test_writes_take_every_kind_of_buffer(self, mirror: Mirror, form: Callable[[bytes], Buffer]) -> None:
        """Also a part of a larger one."""
        if not offered(mirror, Features.WRITE):
            return
        for offset, length in mirror.ranges():
            mirror.write(offset, length, form=form)
            mirror.write(offset, length, "write_nowait", form)
            mirror.check()

    def test_a_written_buffer_is_not_kept(self, mirror: Mirror) -> None:
        """The caller uses the same memory again."""
        if not offered(mirror, Features.WRITE):
            return
        length = max(mirror.store.block_bytes, 4096)
        reused = bytearray(length)

        def form(data: bytes) -> Buffer:
            reused[:] = data
            return reused

        for how in ("write", "write_nowait"):
            mirror.write(0, length, how, form)
            reused[:] = bytes(length)
            mirror.check(0, length)

    def test_what_was_read_does_not_change(self, mirror: Mirror) -> None:
        """An answer may be on its way while the next write comes."""
        if not offered(mirror, Features.WRITE):
            return
        length = max(mirror.store.block_bytes, 4096)
        mirror.write(0, length)
        answers = [mirror.store.read(0, length), mirror.store.read_nowait(0, length)]
        before = bytes(mirror.content[:length])
        mirror.write(0, length)
        for answer in answers:
            assert answer is None or bytes(answer) == before, "a later write changed what had been read"

    def test_nowait_and_blocking_forms_agree(self, mirror: Mirror) -> None:
        """What one wrote the other reads: ``check`` reads by both."""
        if not offered(mirror, Features.WRITE):
            return
        for offset, length in mirror.ranges():
            mirror.write(offset, length, "write_nowait")
            mirror.check()
            mirror.write(offset, length, "write")
            mirror.check(offset, length)

    def test_write_through_writes(self, mirror: Mirror) -> None:
        """As a write."""
        if not offered(mirror, Features.WRITE_THROUGH):
            return
        for offset, length in mirror.ranges():
            mirror.write(offset, length, "write_through")
            mirror.check()

    def test_flush_changes_nothing(self, mirror: Mirror) -> None:
        """With and without anything to flush."""
        if not offered(mirror, Features.WRITE):
            return
        mirror.store.flush()
        mirror.write(*next(mirror.ranges()))
        mirror.store.flush()
        mirror.store.flush()
        mirror.check()

    @_CLEARS
    def test_cleared_ranges_read_as_zeroes(self, mirror: Mirror, how: str) -> None:
        """Exactly the range, whatever its alignment, written before or not, once or twice."""
        if not offered(mirror, Features[how.upper()]):
            return
        for offset, length in mirror.ranges():
            mirror.clear(offset, length, how)
            mirror.check()
            mirror.write(0, mirror.store.size_bytes)
            for _ in range(2):
                mirror.clear(offset, length, how)
                mirror.check()

    @_CLEARS
    def test_cleared_ranges_can_be_written_again(self, mirror: Mirror, how: str) -> None:
        """Unmapping is not the end."""
        if not offered(mirror, Features[how.upper()]):
            return
        for offset, length in mirror.ranges():
            mirror.clear(0, mirror.store.size_bytes, how)
            mirror.write(offset, length)
            mirror.check()

    def test_extents_cover_and_tell_the_truth(self, mirror: Mirror) -> None:
        """Also of parts of the store; what is not allocated reads as zeroes."""
        if not offered(mirror, Features.EXTENTS):
            return
        mirror.check_extents()
        ranges = list(mirror.ranges())
        if Features.WRITE in mirror.store.features():
            for offset, length in ranges[:-1]:
                mirror.write(offset, length)
        if Features.UNMAP in mirror.store.features():
            mirror.clear(*ranges[4], "unmap")
        for offset, length in ranges:
            mirror.check_extents(offset, length)

    def test_a_longer_store_ends_in_zeroes(self, mirror: Mirror) -> None:
        """Also where it once was as long before."""
        if not offered(mirror, Features.RESIZE):
            return
        if not self.resizes:
            with pytest.raises((OSError, StoreError)):
                mirror.store.resize(2 * mirror.store.size_bytes)
            mirror.check()
            return
        size, block = mirror.store.size_bytes, mirror.store.block_bytes
        mirror.write(0, size)
        for new in (2 * size, size + block, size - block, size, 65536, 2 * size):
            mirror.resize(new)
            mirror.check()
        mirror.write(new - block, block)
        mirror.check()

    def test_the_same_size_is_no_change(self, mirror: Mirror) -> None:
        """Nothing is lost."""
        if not offered(mirror, Features.RESIZE):
            return
        mirror.write(0, mirror.store.size_bytes)
        mirror.resize(mirror.store.size_bytes)
        mirror.check()

    def test_space_is_taken_by_what_is_written(self, mirror: Mirror) -> None:
        """And given back by what is unmapped."""
        if not offered(mirror, Features.SPACE):
            return
        before = mirror.store.space()
        assert before.used_bytes >= 0
        assert before.available_bytes >= 0
        mirror.write(0, mirror.store.size_bytes)
        mirror.store.flush()
        full = mirror.store.space()
        assert full.used_bytes >= mirror.store.size_bytes, f"all of it was written, and takes {full.used_bytes} bytes"
        if Features.UNMAP in mirror.store.features():
            mirror.clear(0, mirror.store.size_bytes, "unmap")
            mirror.store.flush()
            assert mirror.store.space().used_bytes < full.used_bytes, "what was unmapped takes as much space as before"

    def test_calls_at_the_same_time(self, mirror: Mirror) -> None:
        """Calls for different ranges do not disturb each other; of a SERIAL store one is made at a time, as the core does."""
        store = mirror.store
        part = store.size_bytes // 4 // store.block_bytes * store.block_bytes
        features = store.features()

        def use(number: int) -> None:
            offset = number * part
            for seed in range(10):
                expected = bytes(mirror.content[offset : offset + part])
                if Features.WRITE in features:
                    data = pattern(number * 100 + seed, part)
                    store.write(offset, data)
                    expected = self.kept(data)
                same = store.read(offset, part) == expected  # not in the assertion: nobody wants to read the difference
                assert same, f"part {number} has another one's bytes"
                if Features.UNMAP in features:
                    store.unmap(offset, part)
                    assert not any(store.read(offset, part)), f"part {number} is not zero after unmap"

        at_the_same_time(store, [partial(use, number) for number in range(4)])

    @pytest.mark.parametrize("feature", list(_READ_ONLY & ~Features.SNAPSHOTS))  # no command makes any
    def test_a_store_may_be_used_read_only(self, mirror: Mirror, feature: Features) -> None:
        """Whatever it offers: the core lets nothing through."""
        check_absent(mirror, feature, read_only=True)
        assert opened(mirror.store, read_only=True).features & _READ_ONLY is Features.NONE

    def test_content_outlives_the_store(self, tmp_path: Path) -> None:
        """What was flushed or written through is there when it is opened again; in a store that forgets, nothing is."""
        with self.opened(tmp_path) as mirror:
            features = mirror.store.features()
            if Features.WRITE in features:
                for offset, length in mirror.ranges():
                    mirror.write(offset, length)
                mirror.store.flush()
            if Features.WRITE_THROUGH in features:
                mirror.write(0, mirror.store.block_bytes, "write_through")
            content = bytes(mirror.content)
        with self.opened(tmp_path) as mirror:
            if self.persistent:
                mirror.content[:] = content
            mirror.check()
            assert mirror.store.persistent or not self.persistent, "it outlives the store, so say: persistent = True"

    def test_random_operations(self, tmp_path: Path) -> None:
        """Sequences of all operations that are offered, against a model."""
        made = iter(range(1_000_000))

        def mirrors() -> AbstractContextManager[Mirror]:
            folder = tmp_path / str(next(made))
            folder.mkdir()
            return self.opened(folder)

        check_random_operations(mirrors, resizes=self.resizes, examples=self.examples)
