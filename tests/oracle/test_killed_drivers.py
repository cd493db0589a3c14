"""SIGKILL of a driver process with commands in flight: reclaimed at once, replaced at once, and nobody else notices.

``TGTCORE_KILLS`` says how often.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from oracle import beside, harsh_stores, verifier
from oracle.served import Served
from support import memory
from support.growth import grown, least

from tgtcore.management.client import Client

_KILLS = int(os.environ.get("TGTCORE_KILLS", "30"))
_KILL_S = 15
"""Far more than one round takes."""
_WRITERS = 6
_IN_FLIGHT = 32
_REGION_BLOCKS = 8 << 11
_RECLAIM_S = 1.0
_GAP_S = 1.0
_FIRST_ROUNDS = 6
"""After the first of them the daemon has all that it ever needs; as many are looked at in the end."""
_ROUNDED_S = 0.001
_SLOW = "iqn.2025-01.example.tgtcore:slow"
_CONFIG = """
plugins = ["iscsi", "disk", "file", "harsh", "beside", "memory"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
[transports.iscsi]
isolation = "process"
portals = [{ address = "127.0.0.1:0" }]
[transports.beside]
portals = [{ address = "127.0.0.1:0" }]
[logical_units.slow]
device_type = "disk"
store = { type = "slow-file", path = "slow.img", create = true, size = "64M" }
[logical_units.quick]
device_type = "disk"
store = { type = "file", path = "quick.img", create = true, size = "64M" }
[targets."SLOW"]
transport = "iscsi"
luns = ["slow"]
allow = { initiators = ["*"] }
[targets."iqn.2025-01.example.tgtcore:quick"]
transport = "beside"
luns = ["quick"]
allow = { initiators = ["*"] }
""".replace("SLOW", _SLOW)


class Daemon:
    """The daemon under test, seen from outside."""

    def __init__(self, served: Served, client: Client) -> None:
        self.pid = served.pid
        self.client = client

    def process(self) -> dict[str, Any]:
        """What is told of the driver process."""
        found: dict[str, Any] = self.client.call("stat")["transports"]["iscsi"]["process"]
        return found

    def serves_after(self, starts: int) -> bool:
        """Whether a new process serves."""
        process = self.process()
        return process["state"] == "serving" and int(process["starts"]) > starts

    def in_flight(self) -> int:
        """Commands on the slow disk."""
        return int(self.client.call("stat")["logical_units"]["slow"]["tasks"])

    def reclaimed(self, killed: float) -> bool:
        """Whether no nexus and no command is left from before a time of the monotonic clock; others may have come since."""
        since = time.monotonic() - killed
        holders = self.client.call("target holders", {"target": _SLOW})
        return all(holder["age_s"] + _ROUNDED_S < since for holder in holders)


def holdings(pid: int, client: Client) -> dict[str, int]:
    """What a daemon may leak; it has the plugin of :mod:`support.memory`."""
    base = Path("/proc") / str(pid)
    status = dict(line.split(":\t", 1) for line in (base / "status").read_text().splitlines() if ":\t" in line)
    return {
        "descriptors": len(list((base / "fd").iterdir())),
        "rings": (base / "maps").read_text().count("tgtcore-ring"),
        "threads": int(status["Threads"]),
        "children": len((base / "task" / str(pid) / "children").read_text().split()),
        "untidied": int(status["RssAnon"].split()[0]) << 10,
        **client.call(memory.VERB),
    }


@contextmanager
def neighbour(url: str) -> Iterator[dict[str, Any]]:
    """Work on another transport meanwhile; what came of it is in the mapping afterwards."""
    found: dict[str, Any] = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "oracle.neighbour", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield found
        found |= json.loads(process.communicate(timeout=30)[0])
    finally:
        process.kill()
        process.communicate()


def until(condition: Any, what: str) -> float:
    """Wait for something; returns how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < _KILL_S, f"not {what} within {_KILL_S} s"
        time.sleep(0.002)
    return time.monotonic() - began


@pytest.mark.timeout(_KILLS * _KILL_S + 120)
def test_nothing_but_its_own_sessions_suffers_when_a_driver_process_is_killed(tmp_path: Path) -> None:
    counts = verifier.Counts()
    reclaiming, serving = [], []
    looks: list[dict[str, int]] = []
    chance = random.Random(_KILLS)
    with ExitStack() as stack:
        (tmp_path / "tgtd.toml").write_text(_CONFIG)
        plugins = {"harsh": harsh_stores.__name__, beside.NAME: beside.__name__, memory.NAME: memory.__name__}
        environment = harsh_stores.environment(tmp_path, plugins)
        served = stack.enter_context(Served(tmp_path, "--config", "tgtd.toml", environment=environment))
        daemon = Daemon(served, stack.enter_context(Client(Path(served.socket))))
        slow, quick = sorted(served.urls, key=lambda url: "quick" in url)
        writers = [verifier.Writer(slow, number, _REGION_BLOCKS, counts) for number in range(_WRITERS)]
        threads = [threading.Thread(target=partial(writer.work, float("inf"), 1e9)) for writer in writers]
        stack.callback(_stop, writers)
        for thread in threads:
            thread.start()
        with neighbour(quick) as beside_it:
            for number in range(_KILLS + _FIRST_ROUNDS):
                until(lambda: counts.wrong or daemon.in_flight() >= _IN_FLIGHT, f"{_IN_FLIGHT} commands in flight")
                assert counts.wrong == []
                if number < _FIRST_ROUNDS or number >= _KILLS:
                    looks.append(holdings(served.pid, daemon.client))
                time.sleep(chance.random() * 0.05)
                process = daemon.process()
                os.kill(process["pid"], signal.SIGKILL)
                reclaiming.append(until(partial(daemon.reclaimed, time.monotonic()), "reclaimed"))
                serving.append(reclaiming[-1] + until(partial(daemon.serves_after, process["starts"]), "served again"))
        _stop(writers)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        for writer in writers:
            writer.close()
            writer.read_back()
    _report("reclaimed", reclaiming)
    _report("served again", serving)
    before, after = least(looks[1:_FIRST_ROUNDS]), least(looks[_FIRST_ROUNDS:])
    print(counts, beside_it, before, after, sep="\n")
    assert counts.wrong == []
    assert counts.ended_without_answer >= _IN_FLIGHT * _KILLS / 2, "the kills have hit nobody"
    assert max(reclaiming) < _RECLAIM_S
    assert beside_it["wrong"] == ""
    assert beside_it["longest_s"] < _GAP_S
    assert {name: after[name] for name in ("rings", "children")} == {"rings": 1, "children": 1}
    assert after["descriptors"] <= before["descriptors"] + _WRITERS  # more or fewer sessions may be logging in
    assert after["threads"] <= before["threads"]
    assert grown(before, after) == {}


def _stop(writers: list[verifier.Writer]) -> None:
    for writer in writers:
        writer.stopped = True


def _report(what: str, times_s: list[float]) -> None:
    print(f"{what}: median {statistics.median(times_s) * 1000:.0f} ms, longest {max(times_s) * 1000:.0f} ms")
