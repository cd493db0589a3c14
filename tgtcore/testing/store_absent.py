"""What becomes of the operations that a store does not offer: refused or emulated by the core, never a surprise."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tgtcore.errors import ReadOnly, Unsupported
from tgtcore.loop import Workers
from tgtcore.store import Extent, Features, OpenStore, Store
from tgtcore.testing.store_model import Mirror

_JOIN_S = 30


class _NoWorkers(Workers):
    """For calls that are made directly."""

    def __init__(self) -> None:
        return

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Any) -> None:
        raise AssertionError("nothing here is given to workers")


def opened(store: Store, *, read_only: bool = False) -> OpenStore:
    """A store as device types see it, to be called directly."""
    return OpenStore("the tested store", store, _NoWorkers(), read_only=read_only)


def check_absent(mirror: Mirror, feature: Features, *, read_only: bool = False) -> None:
    """A store that does not offer a feature, or is used read-only: the core says so, and content and size stay what they are.

    :raises AssertionError: they do not.
    """
    store = opened(mirror.store, read_only=read_only)
    size_bytes = store.size_bytes
    assert feature not in store.features, f"{feature} is advertised although it is not offered"
    _CHECKS[feature](store, mirror)
    assert store.size_bytes == size_bytes, "its size has changed"
    mirror.check()


def offered(mirror: Mirror, feature: Features) -> bool:
    """Whether a store offers a feature; where it does not, that is what is tested."""
    if feature in mirror.store.features():
        return True
    check_absent(mirror, feature)
    return False


def _check_write(store: OpenStore, mirror: Mirror) -> None:
    block = mirror.store.block_bytes
    assert not store.writable
    for write in (store.write, store.write_through):
        with pytest.raises(ReadOnly):
            write(0, b"\x55" * block)
    assert store.write_nowait(0, b"\x55" * block) is False
    store.flush()


def _check_write_through(store: OpenStore, mirror: Mirror) -> None:
    if store.writable:
        store.write_through(0, mirror.replaced(0, mirror.store.block_bytes))
    else:
        _check_write(store, mirror)


def _check_unmap(store: OpenStore, mirror: Mirror) -> None:
    with pytest.raises(Unsupported if store.writable else ReadOnly):
        store.unmap(0, mirror.store.block_bytes)


def _check_write_zeroes(store: OpenStore, mirror: Mirror) -> None:
    length = store.size_bytes
    if store.writable:
        store.write_zeroes(0, length)
        mirror.content[:] = bytes(length)
    else:
        with pytest.raises(ReadOnly):
            store.write_zeroes(0, length)


def _check_extents(store: OpenStore, mirror: Mirror) -> None:
    assert tuple(store.extents(0, store.size_bytes)) == (Extent(0, store.size_bytes, True),)


def _check_resize(store: OpenStore, mirror: Mirror) -> None:
    with pytest.raises(Unsupported):
        store.resize(2 * store.size_bytes)


def _check_space(store: OpenStore, mirror: Mirror) -> None:
    with pytest.raises(Unsupported):
        store.space()


_CHECKS: dict[Features, Callable[[OpenStore, Mirror], None]] = {
    Features.WRITE: _check_write,
    Features.WRITE_THROUGH: _check_write_through,
    Features.UNMAP: _check_unmap,
    Features.WRITE_ZEROES: _check_write_zeroes,
    Features.EXTENTS: _check_extents,
    Features.RESIZE: _check_resize,
    Features.SPACE: _check_space,
}


def at_the_same_time(store: Store, jobs: list[Callable[[], None]]) -> None:
    """Run jobs on the core's workers, as many at once as the store's ``concurrency`` allows; what one raises is raised here."""

    async def run() -> None:
        workers = Workers(len(jobs))
        shared = OpenStore("the tested store", store, workers)
        try:
            await asyncio.gather(*(_ended(shared, job) for job in jobs))
        finally:
            workers.close()
            assert workers.join(_JOIN_S), "a call does not return"

    asyncio.run(run())


def _ended(store: OpenStore, job: Callable[[], None]) -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(result: Any, error: BaseException | None) -> None:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    store.run(job, (), done)
    return future
