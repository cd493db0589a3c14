"""A hostile driver is dropped with a clear message, everything of it is reclaimed, and nobody else notices.

``TGTCORE_HOSTILE_EVENTS`` says how many events the long run has.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from isolation.hostile import GEOMETRY, Hostile, joined
from ring.closing import until_closed_aside

from tgtcore.isolation.attendant import Attendant
from tgtcore.nexus import InitiatorPort, Nexus, TargetPort
from tgtcore.ring import Event, Geometry, accept_driver
from tgtcore.scsi.status import Status
from tgtcore.testing.host import TestHost, content, read
from tgtcore.testing.initiator import MemoryTask

_LONG = int(os.environ.get("TGTCORE_HOSTILE_EVENTS", "1000000"))
_QUICK = 20_000
_BATCH = 48
_WAIT_S = 20
TARGET = "iqn.2025-01.example:hostile"


class Bystander:
    """Another transport's initiator on the same logical units, whose every answer is verified."""

    def __init__(self, host: TestHost) -> None:
        port = InitiatorPort("bystander", b"bystander", "memory")
        self._nexus: Nexus = host.open_nexus(host.target, port, TargetPort(f"{TARGET},9", 9, 9, 6))
        self._tag = 0
        self.commands = 0
        self.longest_s = 0.0
        self._last = 0.0

    def read(self) -> None:
        """One command to its end."""
        while True:
            self._tag += 1
            task = MemoryTask(self._nexus, 0, self._tag, 1, read(512).ljust(16, b"\0"), b"", 512)
            self._nexus.submit(task)
            assert task.state.name == "ENDED"
            if task.status != Status.CHECK_CONDITION:
                break
            assert task.sense[2] & 0x0F == 6, "only a reset by the other initiator may be heard of"
        assert task.status == Status.GOOD
        assert task.data_in == content(512)
        now = time.monotonic()
        self.commands += 1
        self.longest_s = max(self.longest_s, now - self._last) if self._last else 0.0
        self._last = now

    def log_out(self) -> None:
        self._nexus.close(lambda: None)


class Bench:
    """A core with a bystander, and hostile drivers one after another."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.host = TestHost(loop, "hostile", TARGET)
        self.bystander = Bystander(self.host)
        self.reasons: Counter[str] = Counter()
        self.failures: list[Any] = []
        loop.set_exception_handler(lambda _, context: self.failures.append(context))

    def lost(self, reason: str) -> None:
        assert "failed inside" not in reason, reason
        self.reasons["".join(letter for letter in reason if not letter.isdigit())[:60]] += 1

    def check_reclaimed(self) -> None:
        for lun in range(2):
            self.host.device(lun).release()
        assert len(self.host.target.leases) == 1, self.host.target.leases.holders()
        for lu in self.host.lus:
            assert (len(lu.leases), lu.accepted - lu.ended) == (0, 0)
        assert self.failures == []

    def end(self) -> None:
        self.bystander.log_out()
        self.host.check_quiet()


async def one_driver(bench: Bench, seed: int, most: int) -> int:
    """One hostile driver until it is dropped, or has done enough; returns how many events there were."""
    ours, theirs = joined()
    attendant = Attendant(bench.host, ours, lambda _: None, bench.lost)
    attendant.targets[bench.host.target.tid] = bench.host.target
    hostile = Hostile(theirs, seed)
    hostile.wildness = 0
    hostile.open(1)
    hostile.announce()
    await asyncio.sleep(0)
    hostile.wildness = hostile.random.choice((0.001, 0.01, 0.1))
    done = 0
    while not attendant.end.closed and done < most:
        if hostile.random.random() < 0.1:
            attendant.events.post(hostile.random.choice(list(Event)), payload=b"x" * hostile.random.randrange(64))
        hostile.run(_BATCH)
        done += _BATCH
        for _ in range(3):
            await asyncio.sleep(0)
        if hostile.random.random() < 0.2:
            bench.host.device(hostile.random.randrange(2)).release()
        bench.bystander.read()
    attendant.close()
    assert attendant.nexuses == {}
    bench.check_reclaimed()
    assert attendant.tasks == {}
    hostile.leave()
    await asyncio.sleep(0)
    return done


async def many_drivers(events: int, seed: int) -> Bench:
    bench = Bench(asyncio.get_running_loop())
    done = 0
    while done < events:
        seed += 1
        done += await one_driver(bench, seed, 5000)
    bench.end()
    print(done, "events,", bench.bystander.commands, "verified reads beside them;", bench.reasons.most_common())
    return bench


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", [1000, 2000])
async def test_everything_wrong_is_noticed_and_harms_nobody(seed: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    bench = await many_drivers(_QUICK // 2, seed)
    assert len(bench.reasons) > 3
    until_closed_aside(_WAIT_S)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.fuzz
@pytest.mark.timeout(1200)
@pytest.mark.asyncio
async def test_a_million_events_harm_nobody() -> None:
    bench = await many_drivers(_LONG, 1_000_000)
    assert len(bench.reasons) > 10


@contextmanager
def hostile_process(how: str, seed: int = 1) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "isolation.hostile", str(theirs.fileno()), str(seed), how],
        pass_fds=(theirs.fileno(),),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stderr=subprocess.DEVNULL,
    )
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.wait(_WAIT_S)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(3))
async def test_a_process_that_changes_what_is_being_read_is_dropped(seed: int) -> None:
    bench = Bench(asyncio.get_running_loop())
    with hostile_process("wild", seed) as link:
        attached = await accept_driver(link, GEOMETRY, peer=(1, 1))
        attendant = Attendant(bench.host, attached, lambda _: None, bench.lost)
        attendant.targets[bench.host.target.tid] = bench.host.target
        async with asyncio.timeout(_WAIT_S):
            while not attendant.end.closed:
                bench.bystander.read()
                await asyncio.sleep(0)
    attendant.close()
    bench.check_reclaimed()
    bench.end()
    assert sum(bench.reasons.values()) == 1


@pytest.mark.asyncio
async def test_who_is_dropped_while_it_floods_others_has_not_starved_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    bench = Bench(asyncio.get_running_loop())
    with hostile_process("flood") as link:
        attached = await accept_driver(link, Geometry(), peer=(1, 1))
        attendant = Attendant(bench.host, attached, lambda _: None, bench.lost)
        attendant.targets[bench.host.target.tid] = bench.host.target
        turns = 0
        async with asyncio.timeout(_WAIT_S):
            while attendant.end.taken < 50_000 and not attendant.end.closed:
                bench.bystander.read()
                turns += 1
                await asyncio.sleep(0)
        taken = attendant.end.taken
        attendant.close()
    bench.check_reclaimed()
    bench.end()
    print(f"{taken} requests in {turns} turns of the loop; longest gap {bench.bystander.longest_s * 1000:.0f} ms")
    assert bench.reasons == {}
    assert taken >= 50_000
    assert taken / turns <= 1024, "one turn of the loop took too many requests"
