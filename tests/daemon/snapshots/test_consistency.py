"""A snapshot holds exactly what was acknowledged before a point in the stream of commands, whoever writes meanwhile."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from daemon.conftest import Running, Start
from daemon.reload.conftest import Host, finished
from daemon.snapshots.conftest import CONFIG, Keeps, keep, store_of

from tgtcore import Buffer
from tgtcore.daemon.snapshots import create_snapshot, revert_snapshot
from tgtcore.scsi.status import Status

pytestmark = pytest.mark.asyncio

_WRITERS, _EACH, _DEEP, _SNAPSHOTS = 3, 60, 6, 6
_SLOW_S = 0.002


class Books:
    """Which block was written by which write, and in which order they were acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []

    def write(self, host: Host, number: int) -> "asyncio.Future[None]":
        """Write a number to the block of that number; done when it is acknowledged."""
        done = asyncio.get_running_loop().create_future()
        command = host.start(f"2a 00 {number:08x} 00 0001", block(number), held=False)

        def acknowledge() -> None:
            assert command.status == Status.GOOD
            self.acknowledged.append(number)
            done.set_result(None)

        command.when_ended(acknowledge)
        return done


def block(number: int) -> bytes:
    return number.to_bytes(8, "big") * 64


def held(content: Buffer) -> set[int]:
    """Whose writes are there."""
    numbers = range(1, _WRITERS * _EACH + 1)
    found = {one for one in numbers if any(content[512 * one : 512 * one + 512])}
    for number in found:
        assert content[512 * number : 512 * number + 512] == block(number), f"write {number} is there in part"
    return found


async def write_all(books: Books, host: Host, first: int) -> None:
    """So many writes at a time, until all are done."""
    waiting: set[asyncio.Future[None]] = set()
    for number in range(first, first + _EACH):
        if len(waiting) >= _DEEP:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        waiting.add(books.write(host, number))
    await asyncio.wait(waiting)


def slow(store: Keeps, chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls take their time on both sides of what they do, so that they overtake each other."""

    def slowed(function: Callable[..., Any]) -> Callable[..., Any]:
        def slowly(*args: Any) -> Any:
            time.sleep(chance.random() * _SLOW_S)
            result = function(*args)
            time.sleep(chance.random() * _SLOW_S)
            return result

        return slowly

    for name in ("write", "flush", "create_snapshot"):
        monkeypatch.setattr(store, name, slowed(getattr(store, name)))


@pytest.mark.parametrize("seed", range(5))
async def test_a_snapshot_is_a_prefix_of_what_was_acknowledged(
    start: Start, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start(CONFIG.replace("drain_s = 0.2", "drain_s = 1"), keep())
    store, unit = store_of(running), running.daemon.inventory.units["a"]
    chance = random.Random(seed)
    slow(store, chance, monkeypatch)
    books = Books()
    hosts = [Host(running) for _ in range(_WRITERS)]
    writing = asyncio.gather(*(write_all(books, host, 1 + number * _EACH) for number, host in enumerate(hosts)))
    before: list[int] = []
    after: list[int] = []
    for number in range(_SNAPSHOTS):
        enough = len(books.acknowledged) + chance.randrange(1, 20)
        while len(books.acknowledged) < enough and not writing.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        before.append(len(books.acknowledged))
        await create_snapshot(unit, lambda taken, number=number: str(number + 1), 20)  # type: ignore[misc]
        after.append(len(books.acknowledged))
    await writing
    contents = [held(content) for content in store.snapshots.values()]
    assert len(contents) == _SNAPSHOTS
    for content, least, most in zip(contents, before, after, strict=True):
        assert content == set(books.acknowledged[: len(content)]), "not a prefix in the order of acknowledgement"
        assert least <= len(content) <= most
    assert any(0 < len(content) < _WRITERS * _EACH for content in contents), "there was no load"
    assert held(store.content) == set(books.acknowledged)
    await gone_back_to(running, books, contents[2])


async def gone_back_to(running: Running, books: Books, expected: set[int]) -> None:
    """After going back everybody reads what was in the snapshot."""
    await revert_snapshot(running.daemon.inventory.units["a"], "3", 20, force=True)
    host = Host(running)
    last = max(books.acknowledged)
    task = await finished(host.start(f"28 00 {max(expected):08x} 00 0001", held=False))
    assert task.data_in == block(max(expected))
    if last not in expected:
        assert await host.read(lba=last) == bytes(512)
