"""The conformance kit of formats and filters: all that stores promise, and what a layer owes to the store beneath it.

Subclass it in a test module::

    class TestMyFormat(LayerConformance):
        def make_layer(self, base: Store) -> Store:
            return MyFormat(base, MyOptions())
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

try:
    import pytest

    from tgtcore.testing.store import StoreConformance
    from tgtcore.testing.store_model import check_same
except ModuleNotFoundError as missing:
    raise ImportError(
        f"the conformance kit needs {missing.name}; install what it uses with: pip install pytest hypothesis"
    ) from missing

from tgtcore.errors import StoreError
from tgtcore.store import Buffer, Features, Filter, Store
from tgtcore.testing.ram import RamStore

_CHANGES: dict[str, tuple[Callable[[int], Any], ...]] = {
    "write": (lambda block: 0, lambda block: b"\x55" * block),
    "write_through": (lambda block: block, lambda block: b"\xaa" * block),
    "unmap": (lambda block: 0, lambda block: 2 * block),
    "write_zeroes": (lambda block: 2 * block, lambda block: block),
    "resize": (lambda block: 1 << 20,),
}
"""What changes a layer, with the arguments for blocks of some size."""


class WatchedBase(RamStore):
    """A base that takes only calls that the contract allows, and knows an operation that no layer can know."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.opened = True
        self.fails = False

    def _check(self, offset: int, length: int) -> None:
        assert self.opened, "the base is used after the layer was closed"
        assert offset >= 0, f"offset {offset} lies before the base"
        assert 0 < length <= self.size_bytes - offset, f"{length} bytes at {offset} do not lie in the base"
        if self.fails:
            raise OSError(errno.EIO, "the base fails, as the test wants")

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract."""
        self._check(offset, length)
        return super().read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract."""
        self._check(offset, len(data))
        super().write(offset, data)

    def write_through(self, offset: int, data: Buffer) -> None:
        """As in the contract."""
        self.write(offset, data)
        self.flushes += 1

    def unmap(self, offset: int, length: int) -> None:
        """As in the contract."""
        self._check(offset, length)
        super().unmap(offset, length)

    write_zeroes = unmap

    def read_nowait(self, offset: int, length: int) -> Buffer | None:  # type: ignore[override]
        """As in the contract."""
        return None if self.fails else self.read(offset, length)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """As in the contract."""
        self.write(offset, data)
        return True

    def an_operation_of_the_future(self, offset: int, length: int) -> None:
        """Would destroy the image if it reached raw bytes through a layer that does not know it."""
        self.content[offset : offset + length] = b"\xff" * length

    def close(self) -> None:
        """The core's business."""
        raise AssertionError("the layer has closed its base; the core does that")


class ReadOnlyBase(WatchedBase):
    """The same, and takes no writes."""

    def features(self) -> Features:
        """Nothing but reads."""
        return Features.NONE

    def write(self, offset: int, data: Buffer) -> None:
        """A defect of the layer."""
        raise AssertionError("the base takes no writes")

    def unmap(self, offset: int, length: int) -> None:
        """A defect of the layer."""
        raise AssertionError("the base takes no writes")

    write_zeroes = unmap


class LayerConformance(StoreConformance):
    """Tests that every format and filter passes; a subclass says how to make one on a base."""

    base_bytes = 4 << 20
    """Size of the base."""

    writes_base: ClassVar[bool] = True
    """Whether what is written goes to the base in the end; False for a layer that keeps it elsewhere, and then forgets it."""

    def make_layer(self, base: Store) -> Store:
        """A layer of 256 KiB to 16 MiB on a base; a base of zeroes is new, any other one was used before."""
        raise NotImplementedError

    def make_store(self, folder: Path) -> Store:
        """The layer on a base that is kept for each folder."""
        base = WatchedBase(self.base_bytes) if self.writes_base else ReadOnlyBase(self.base_bytes)
        if self.persistent:
            kept: dict[Path, WatchedBase] = self.__dict__.setdefault("_kept", {})
            base = kept.setdefault(folder, base)
        return self.make_layer(base)

    def test_what_it_does_not_know_it_does_not_forward(self) -> None:
        """A new operation that slipped through would address raw bytes of the base."""
        layer = self.make_layer(WatchedBase(self.base_bytes))
        try:
            assert not hasattr(layer, "an_operation_of_the_future"), "it forwards what it does not know"
            for name in ("__getattr__", "__getattribute__"):
                assert getattr(type(layer), name, None) is getattr(Store, name, None), f"it defines {name}"
        finally:
            layer.close()

    def test_the_base_is_the_cores_to_close(self) -> None:
        """What stands on top is closed first, by the core, and uses its base no more then."""
        base = WatchedBase(self.base_bytes)
        layer = self.make_layer(base)
        layer.close()
        base.opened = False
        assert base.size_bytes > 0

    def test_a_flush_reaches_the_base(self) -> None:
        """Nothing is durable before the base says so."""
        if not self.writes_base:
            self._check_never_writes()
            return
        base = WatchedBase(self.base_bytes)
        layer = self.make_layer(base)
        if Features.WRITE in layer.features():
            layer.write(0, b"\x55" * layer.block_bytes)
            before = base.flushes
            layer.flush()
            assert base.flushes > before, "flush() returned, but the base was not flushed"
            if Features.WRITE_THROUGH in layer.features():
                before = base.flushes
                layer.write_through(0, b"\xaa" * layer.block_bytes)
                assert base.flushes > before, "write_through() returned, but the base was not flushed"
        layer.close()

    def test_an_error_of_the_base_is_an_error(self) -> None:
        """It is told, in the words of the base or in its own; never zeroes, never success."""
        base = WatchedBase(self.base_bytes)
        layer = self.make_layer(base)
        if Features.WRITE in layer.features():
            layer.write(0, b"\x55" * layer.block_bytes)
            layer.flush()
        base.fails = True
        with pytest.raises((OSError, StoreError)):
            layer.read(0, layer.size_bytes)
        if Features.WRITE in layer.features() and self.writes_base:
            with pytest.raises((OSError, StoreError)):
                self._write_and_flush(layer)
        base.fails = False
        layer.close()

    def _write_and_flush(self, layer: Store) -> None:
        layer.write(0, b"\xaa" * layer.block_bytes)
        layer.flush()

    def test_it_forgets_what_its_base_has_no_more(self) -> None:
        """As when power is cut beneath it: nothing that was not flushed is read or written any more; if it can be told."""
        base = WatchedBase(self.base_bytes)
        layer = self.make_layer(base)
        hears = type(layer).base_changed is not Store.base_changed
        if hears and not self.writes_base:
            self._check_begins_again(layer, base)
        elif hears and Features.WRITE in layer.features():
            layer.write(0, b"\x55" * layer.block_bytes)
            layer.flush()
            flushed, content = bytes(base.content), bytes(layer.read(0, layer.size_bytes))
            layer.write(0, b"\xaa" * layer.block_bytes)
            base.content[:] = flushed
            layer.base_changed()
            found = layer.read(0, layer.size_bytes)
            check_same("it reads what its base does not have any more", found, content)
            layer.flush()
            check_same("it writes what was lost", base.content, flushed)
        layer.close()

    def _check_begins_again(self, layer: Store, base: WatchedBase) -> None:
        """What it keeps elsewhere belongs to what is gone."""
        layer.write(0, b"\x55" * layer.block_bytes)
        base.content[:] = base.content[::-1]
        layer.base_changed()
        check_same(
            "it has what belongs to what is gone", layer.read(0, layer.size_bytes), base.content[: layer.size_bytes]
        )

    def test_it_moves_to_another_base(self) -> None:
        """As when a filter comes or goes beneath: it reads and writes there what it did before; if it can."""
        base, other = WatchedBase(self.base_bytes), WatchedBase(self.base_bytes)
        layer = self.make_layer(base)
        if isinstance(layer, Filter) and type(layer).stand_on is not Filter.stand_on:
            writes = Features.WRITE in layer.features()
            if writes:
                layer.write(0, b"\x55" * layer.block_bytes)
                layer.flush()
            other.content[:] = base.content
            content = bytes(layer.read(0, layer.size_bytes))
            base.opened = False
            layer.stand_on(other)
            check_same("it reads something else on another base", layer.read(0, layer.size_bytes), content)
            if writes:
                layer.write(0, b"\xaa" * layer.block_bytes)
                layer.flush()
                assert other.flushes, "flush() returned, but the base that it stands on was not flushed"
                layer.stand_on(read_only := ReadOnlyBase(self.base_bytes))
                offered = layer.features() & ~Features.EXTENTS & ~read_only.features()
                assert offered is Features.NONE, f"it offers {offered} on a base that takes no writes"
                layer.stand_on(other)
        layer.close()

    def test_on_its_way_out_it_lets_everything_through(self) -> None:
        """What is flushed because it goes reaches its base as it is."""
        base = WatchedBase(self.base_bytes)
        layer = self.make_layer(base)
        if isinstance(layer, Filter) and Features.WRITE in layer.features():
            layer.stand_aside(True)
            layer.write(0, b"\x55" * layer.block_bytes)
            layer.flush()
            found = layer.read(0, layer.block_bytes)
            check_same("it reads something else than what was written", found, b"\x55" * layer.block_bytes)
            check_same("the base is not what was written", base.content[: layer.block_bytes], found)
            layer.stand_aside(False)
        layer.close()

    def test_on_a_base_that_takes_no_writes_it_takes_none(self) -> None:
        """It opens, reads and offers no more than its base can do, unless it keeps what is written elsewhere."""
        if not self.writes_base:
            self._check_never_writes()
            return
        base = WatchedBase(self.base_bytes)
        used = self.make_layer(base)
        if Features.WRITE in used.features():
            used.write(0, b"\x55" * used.block_bytes)
            used.flush()
        content = bytes(used.read(0, used.size_bytes))
        used.close()
        read_only = ReadOnlyBase(self.base_bytes)
        read_only.content[:] = base.content
        layer = self.make_layer(read_only)
        offered = layer.features() & ~Features.EXTENTS
        assert offered is Features.NONE, f"it offers {offered} on a base that takes no writes"
        found = layer.read(0, layer.size_bytes)
        check_same("it reads something else on a base that takes no writes", found, content)
        layer.close()

    def _check_never_writes(self) -> None:
        """Whatever is done to the layer, its base stays what it is, and is never asked to write."""
        base = ReadOnlyBase(self.base_bytes)
        layer = self.make_layer(base)
        assert getattr(type(layer), "writes_base", True) is False, (
            "it never writes to its base: say writes_base = False"
        )
        content, flushes = bytes(base.content), base.flushes
        assert Features.WRITE in layer.features(), "it takes no writes although it needs no base for them"
        for name, arguments in _CHANGES.items():
            if Features[name.upper()] in layer.features():
                getattr(layer, name)(*(given(layer.block_bytes) for given in arguments))
        layer.flush()
        check_same("the base is not what it was", base.content, content)
        assert base.flushes == flushes, "the base was flushed, although nothing was written to it"
        layer.close()
