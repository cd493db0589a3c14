"""A process that serves a ring is really killed, at any moment: what the next one finds in journal and ring is enough."""

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from tgtcore_xen.vscsiif.layout import PAGE_BYTES, SLOT_BYTES
from tgtcore_xen.vscsiif.ring import FrontRing

KILLS = 10
PATIENCE_S = 40

BACK_END = """
import mmap, os, random, sys
from pathlib import Path
from tgtcore_xen.hba.journal import Journal
from tgtcore_xen.vscsiif.ring import BackRing

page, path = sys.argv[1:3]
ring = BackRing(memoryview(mmap.mmap(os.open(page, os.O_RDWR), 4096)))
journal = Journal.found(Path(path), "test") or Journal.new(Path(path), "test")
left = journal.begin(ring.producer)
ring.resume(left.put, len(left.requests))
waiting = left.requests
while True:
    waiting += journal.take(ring.take())
    random.shuffle(waiting)
    for _ in range(random.randint(0, len(waiting))):
        entry, slot = waiting.pop()
        ring.put(slot[:8] + b"answered" + slot[16:])
        journal.put([entry])
    ring.publish()
    journal.published()
"""


class BackEnds:
    """One process after the other."""

    def __init__(self, page: Path, journal: Path) -> None:
        self._arguments = [sys.executable, "-c", BACK_END, str(page), str(journal)]
        self.begin()

    def begin(self) -> None:
        self._process = subprocess.Popen(self._arguments)

    def kill(self) -> None:
        assert self._process.poll() is None, "it has ended by itself"
        self._process.kill()
        self._process.wait(PATIENCE_S)


@pytest.fixture
def page(tmp_path: Path) -> mmap.mmap:
    fd = os.open(tmp_path / "page", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, PAGE_BYTES)
    made = mmap.mmap(fd, PAGE_BYTES)
    os.close(fd)
    return made


@pytest.fixture
def back(page: mmap.mmap, tmp_path: Path) -> Iterator[BackEnds]:
    made = BackEnds(tmp_path / "page", tmp_path / "journal")
    yield made
    made.kill()


@pytest.mark.slow
def test_killed_at_any_moment(page: mmap.mmap, back: BackEnds) -> None:
    ring, random = FrontRing(memoryview(page)), Random()
    asked, unanswered, kills = 0, set(), 0
    deadline = time.monotonic() + PATIENCE_S
    next_kill = random.randint(50, 3000)
    while kills < KILLS or unanswered:
        assert time.monotonic() < deadline, f"{len(unanswered)} have no answer"
        while kills < KILLS and ring.room:
            ring.put(asked.to_bytes(8, "little").ljust(SLOT_BYTES, b"?"))
            unanswered.add(asked)
            asked += 1
        ring.publish()
        answers = ring.take()
        if not answers:
            time.sleep(0.0002)
        for slot in answers:
            assert slot[8:16] == b"answered"
            unanswered.remove(int.from_bytes(slot[:8], "little"))  # KeyError: it was answered twice
        if kills < KILLS and asked > next_kill:
            back.kill()
            back.begin()
            kills += 1
            next_kill = asked + random.randint(50, 3000)
    assert asked > KILLS * 50
