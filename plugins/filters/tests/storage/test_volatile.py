"""Filters that keep writes in memory, used from several threads at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from tgtcore_filters.storage.cache import Cache, CacheOptions
from tgtcore_filters.storage.crash import Crash, CrashOptions
from tgtcore_filters.storage.volatile import Volatile

from tgtcore import Concurrency, Store
from tgtcore.testing.ram import RamStore

MIB = 1024 * 1024
PART = 16 * 1024
_CHANGES = ("write", "write", "write_nowait", "write_through", "unmap")


def cache(base: Store) -> Volatile:
    return Cache(base, CacheOptions(size=MIB))


def crash(base: Store) -> Volatile:
    return Crash(base, CrashOptions(memory=MIB))


class _User:
    """Changes its own parts of a store in all ways; each must always read what was done last.

    :param number: 0 to 3.
    """

    def __init__(self, store: Volatile, number: int) -> None:
        self.content: dict[int, bytes] = {}
        self._store = store
        self._number = number
        self._dice = Random(number)

    def run(self) -> None:
        for step in range(300):
            offset = (self._dice.randrange(64) * 4 + self._number) * PART
            self.content[offset] = self._change(offset, bytes([self._number + 1, step % 251]) * (PART // 2))
            if self._dice.random() < 0.1:
                self._store.flush()
            other = self._dice.choice(list(self.content))
            for got in (self._store.read(other, PART), self._store.read_nowait(other, PART)):
                assert got is None or got == self.content[other]

    def _change(self, offset: int, data: bytes) -> bytes:
        how = self._dice.choice(_CHANGES)
        if how == "unmap":
            self._store.unmap(offset, PART)
            return bytes(PART)
        if getattr(self._store, how)(offset, data) is False:
            self._store.write(offset, data)
        return data


BOTH = pytest.mark.parametrize("make", [cache, crash])


@BOTH
def test_everything_is_on_the_base_before_that_is_flushed(make: Callable[[Store], Volatile]) -> None:
    class Telling(RamStore):
        flushed = b""

        def flush(self) -> None:
            self.flushed = bytes(self.content)

    base = Telling()
    made = make(base)
    made.write(4096, b"x" * 4096)
    made.unmap(0, 512)
    made.flush()
    assert base.flushed[4096:8192] == b"x" * 4096


@BOTH
def test_threads_never_see_or_leave_an_older_write(make: Callable[[Store], Volatile]) -> None:
    base = RamStore(4 * MIB)
    made = make(base)
    assert made.concurrency is Concurrency.PARALLEL
    users = [_User(made, number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_User.run, users))
    made.flush()
    for user in users:
        for offset, data in user.content.items():
            assert base.content[offset : offset + PART] == data
