"""Acknowledged means stored: under resets and dropped sessions, and when the daemon is killed."""

import os
import random
import threading
import time
from pathlib import Path

import pytest
from oracle import verifier
from oracle.commands import BLOCK_BYTES, read16, synchronize_cache10, write16
from oracle.libiscsi import InitiatorError, Session
from oracle.served import Served

# Seconds of the verified run; the full length is for releases.
_SECONDS = float(os.environ.get("TGTCORE_VERIFY_SECONDS", "15"))
_KILLS = 100
_SPOTS = 2048
_BLOCKS = 8


@pytest.mark.timeout(240)
def test_random_writes_survive_resets_and_dropped_sessions(daemon: Served) -> None:
    counts = verifier.run(daemon.url, _SECONDS)
    assert counts.wrong == []
    assert counts.resets > _SECONDS / 2, counts
    assert counts.drops > _SECONDS / 2, counts
    assert counts.writes > 100 * _SECONDS, counts


class Acknowledged:
    """Writes at random until the connection breaks, and remembers what was acknowledged as durable."""

    def __init__(self, url: str, seed: int, known: dict[int, bytes], unsure: dict[int, set[bytes]]) -> None:
        self._url = url
        self._random = random.Random(seed)
        self._known, self._unsure = known, unsure
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end, which the daemon's death brings."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.failure:
            raise self.failure

    def _work(self) -> None:
        try:
            session = Session(self._url, timeout_s=10)
            session.ready()
            while True:
                self._write_durably(session)
        except InitiatorError:
            return
        except Exception as error:  # handed to the thread that waits
            self.failure = error

    def _write_durably(self, session: Session) -> None:
        fua = self._random.random() < 0.5
        batch = {self._random.randrange(_SPOTS): self._random.randbytes(16) for _ in range(1 if fua else 4)}
        for spot, stamp in batch.items():
            # Until it is acknowledged, old and new content are both allowed.
            self._unsure.setdefault(spot, set()).add(stamp)
            data = stamp * (_BLOCKS * BLOCK_BYTES // len(stamp))
            assert session.command(write16(spot * _BLOCKS, _BLOCKS, fua=fua), data_out=data).good
        if not fua:
            assert session.command(synchronize_cache10()).good
        for spot, stamp in batch.items():
            self._known[spot] = stamp
            self._unsure.pop(spot, None)


def missing(image: Path, known: dict[int, bytes], unsure: dict[int, set[bytes]]) -> list[int]:
    """Spots of the image that hold neither what was acknowledged nor something sent after it."""
    size = _BLOCKS * BLOCK_BYTES
    lost = []
    with image.open("rb") as file:
        for spot, stamp in known.items():
            file.seek(spot * size)
            found = file.read(size)
            blocks = {found[at : at + BLOCK_BYTES] for at in range(0, size, BLOCK_BYTES)}
            allowed = {one * (BLOCK_BYTES // len(one)) for one in {stamp} | unsure.get(spot, set())}
            if not blocks <= allowed:
                lost.append(spot)
    return lost


@pytest.mark.timeout(400)
def test_no_acknowledged_block_is_lost_by_kill_9(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    chance = random.Random(2025)
    known: dict[int, bytes] = {}
    unsure: dict[int, set[bytes]] = {}
    acknowledged = 0
    for round_number in range(_KILLS):
        served = Served.disk(tmp_path, image, options=("--size", "64M"))
        try:
            writer = Acknowledged(served.url, round_number, known, unsure)
            time.sleep(chance.uniform(0.02, 0.4))
        finally:
            served.kill()
        writer.join()
        assert missing(image, known, unsure) == [], f"after kill {round_number + 1}"
        acknowledged += len(known)
    assert acknowledged > _KILLS
    with Served.disk(tmp_path, image, options=("--size", "64M")) as served, Session(served.url) as session:
        session.ready()
        for spot in known:
            found = session.command(read16(spot * _BLOCKS, _BLOCKS), read=_BLOCKS * BLOCK_BYTES)
            assert found.good
            allowed = {known[spot]} | unsure.get(spot, set())
            assert found.data_in[:16] in allowed
