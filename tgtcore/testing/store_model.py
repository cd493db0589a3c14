"""What a store must hold: a model beside the real one, and random operations on both."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tgtcore.store import Buffer, Features, Store

_AROUND_BYTES = 8192
_OPERATIONS_MAX = 12
_EDGES = (0, 512, 4096, 65536, 131072)
_LENGTHS = (512, 4096, 8192, 65536, 65536 + 512, 262144)

_WRITES = {"write": Features.WRITE, "write_nowait": Features.WRITE, "write_through": Features.WRITE_THROUGH}
_CLEARS = {"unmap": Features.UNMAP, "write_zeroes": Features.WRITE_ZEROES}


def pattern(seed: int, length: int) -> bytes:
    """Bytes without a structure that a store could hide a mistake in."""
    return Random(seed).randbytes(length)


class Mirror:
    """A store and what it must hold; every operation is done to both.

    :param content: what the store holds now.
    :param kept: what a read returns after a write of some data: the same, unless the store is one that drops it.
    """

    def __init__(self, store: Store, content: bytes, kept: Callable[[bytes], bytes]) -> None:
        self.store = store
        self.content = bytearray(content)
        self._kept = kept
        self._seed = 0

    def write(self, offset: int, length: int, how: str = "write", form: Callable[[bytes], Buffer] = bytes) -> None:
        """Write a new pattern by the method ``how``."""
        data = self.replaced(offset, length)
        done = getattr(self.store, how)(offset, form(data))
        if how == "write_nowait" and not done:
            self.store.write(offset, data)

    def replaced(self, offset: int, length: int) -> bytes:
        """A new pattern, which somebody else is about to write."""
        self._seed += 1
        data = pattern(self._seed, length)
        self.content[offset : offset + length] = self._kept(data)
        return data

    def clear(self, offset: int, length: int, how: str) -> None:
        """Make a range read as zeroes by the method ``how``."""
        getattr(self.store, how)(offset, length)
        self.content[offset : offset + length] = bytes(length)

    def resize(self, size_bytes: int) -> None:
        """Make the store longer or shorter."""
        self.store.resize(size_bytes)
        self.content = self.content[:size_bytes].ljust(size_bytes, b"\0")
        assert self.store.size_bytes == size_bytes, "size_bytes must tell the new size"

    def check(self, offset: int = 0, length: int | None = None) -> None:
        """Compare a range, by default everything, in every way that the store can be read."""
        length = self.store.size_bytes - offset if length is None else length
        expected = bytes(self.content[offset : offset + length])
        check_same("read", self.store.read(offset, length), expected, offset)
        if (ready := self.store.read_nowait(offset, length)) is not None:
            check_same("read_nowait", ready, expected, offset)
        if (region := self.store.region(offset, length)) is not None:
            assert len(region) == length, f"region has {len(region)} bytes, expected {length}"
            check_same("region", os.pread(region.fd, region.length, region.offset), expected, offset)

    def check_around(self, offset: int, length: int) -> None:
        """Compare a range and its neighbours."""
        block = self.store.block_bytes
        around = -(-_AROUND_BYTES // block) * block
        start = max(offset - around, 0)
        self.check(start, min(offset + length + around, self.store.size_bytes) - start)

    def check_extents(self, offset: int = 0, length: int | None = None) -> None:
        """Extents must cover a range without gaps, and only zeroes may count as not allocated."""
        position, end = offset, self.store.size_bytes if length is None else offset + length
        while position < end:
            answer = list(self.store.extents(position, end - position))
            assert answer, f"extents({position}, {end - position}) covers nothing"
            for extent in answer:
                assert extent.offset == position, f"{extent} begins elsewhere, expected {position}"
                assert 0 < extent.length <= end - position, f"{extent} is empty or ends beyond {end}"
                position += extent.length
                if not extent.allocated:
                    check_same(f"{extent}", self.content[extent.offset : position], bytes(extent.length), extent.offset)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Ranges that are easy to get wrong: both ends, across boundaries, one block, everything."""
        block, size = self.store.block_bytes, self.store.size_bytes
        blocks = size // block
        yield 0, block
        yield size - block, block
        yield 65536 - block, 2 * block
        yield 3 * block, 5 * block
        yield blocks // 3 * block, blocks // 3 * block
        yield 0, size


def check_same(what: str, got: Buffer, expected: Buffer, offset: int = 0) -> None:
    """Compare bytes, and tell where they differ first: the difference of millions of them is no use, and takes minutes to make.

    :param what: where they come from.
    :param offset: of the first of them.
    """
    assert isinstance(got, Buffer), f"{what} at {offset} gave a {type(got).__name__}, expected bytes"
    assert len(got) == len(expected), f"{what} at {offset} gave {len(got)} bytes, expected {len(expected)}"
    if got != expected:
        page = next(at for at in range(0, len(expected), 4096) if got[at : at + 4096] != expected[at : at + 4096])
        at = next(at for at in range(page, len(expected)) if got[at] != expected[at])
        raise AssertionError(f"{what}: byte {offset + at} is {got[at]:#04x}, expected {expected[at]:#04x}")


_operations = st.lists(
    st.tuples(
        st.integers(0, 99),
        st.one_of(st.sampled_from(_EDGES), st.integers(0, 1 << 30)),
        st.one_of(st.integers(1, 64), st.sampled_from(_LENGTHS), st.integers(1, 1 << 22)),
    ),
    max_size=_OPERATIONS_MAX,
)


def check_random_operations(
    mirrors: Callable[[], AbstractContextManager[Mirror]], *, resizes: bool, examples: int
) -> None:
    """Do random operations, each example on a new store, and compare after each.

    :param mirrors: makes a new store with its model.
    :param resizes: whether ``resize`` takes any size.
    """

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(_operations, st.booleans())
    def run(operations: list[tuple[int, int, int]], filled: bool) -> None:
        with mirrors() as mirror:
            names = _offered(mirror.store, resizes=resizes)
            size_max = 2 * mirror.store.size_bytes
            if filled and "write" in names:
                mirror.write(0, mirror.store.size_bytes)
            for number, start, length in operations:
                _operate(mirror, names[number % len(names)], start, length, size_max)
            mirror.check()
            if Features.EXTENTS in mirror.store.features():
                mirror.check_extents()

    run()


def _offered(store: Store, *, resizes: bool) -> list[str]:
    features = store.features()
    names = ["read", *(name for name, feature in {**_WRITES, **_CLEARS}.items() if feature in features)]
    return names + ["flush"] * (Features.WRITE in features) + ["resize"] * (resizes and Features.RESIZE in features)


def _operate(mirror: Mirror, name: str, start: int, length: int, size_max: int) -> None:
    store = mirror.store
    block = store.block_bytes
    offset = start % store.size_bytes // block * block
    wanted = -(-length // block) * block
    length = min(wanted, store.size_bytes - offset)
    if name in _WRITES:
        mirror.write(offset, length, name)
    elif name in _CLEARS:
        mirror.clear(offset, length, name)
    elif name == "resize":
        mirror.resize((start % size_max // block + 1) * block)
        return
    elif name == "flush":
        store.flush()
    mirror.check_around(offset, length)
