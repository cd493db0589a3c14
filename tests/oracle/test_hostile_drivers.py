"""Hostile driver processes, one after another, beside a transport under verified load: each is dropped, and nobody else notices.

``TGTCORE_HOSTILE_EVENTS`` says how many requests the core has to take from them.
"""

import json
import os
import pwd
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from oracle import attacks, harsh_stores, hostile_driver
from oracle.served import Served
from oracle.test_killed_drivers import holdings, neighbour
from support import memory
from support.growth import grown

from tgtcore.management.client import Client

_EVENTS = int(os.environ.get("TGTCORE_HOSTILE_EVENTS", "60000"))
_GAP_S = 2.0
"""A disk under the load of others may be as slow; a core that one driver keeps to itself is slower."""
_STARVED = 0.05
"""Of what a neighbour with one command at a time gets otherwise.  Mostly it is a third, but many share the processors here."""
_OBJECTS_MORE = 5_000
"""The next driver is being started, and the neighbour at work; a leak of one for each event is more."""
_MEASURED_S = 1.0
_TURNS = 2
_WAIT_S = 60
_FLOODS = ["flood", "transfers", "storm", "resets", "chatter"]
_FOREVER = 1 << 40
_DROPPED = "the driver is dropped: "
_CONFIG = """
plugins = ["iscsi", "disk", "file", "hostile", "memory"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
[transports.hostile]
isolation = "process"
user = "{user}"
attacks = {attacks}
events = {events}
begin = "{begin}"
patience = {patience}
[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]
[logical_units.theirs]
device_type = "disk"
store = {{ type = "file", path = "theirs.img", create = true, size = "64M" }}
[logical_units.ours]
device_type = "disk"
store = {{ type = "file", path = "ours.img", create = true, size = "64M" }}
[targets."iqn.2025-01.example.tgtcore:theirs"]
transport = "hostile"
luns = ["theirs"]
[targets."iqn.2025-01.example.tgtcore:ours"]
transport = "iscsi"
luns = ["ours"]
allow = {{ initiators = ["*"] }}
"""


class Daemon:
    """The daemon under test."""

    def __init__(self, served: Served, client: Client) -> None:
        self.served = served
        self.client = client

    def figures(self) -> dict[str, Any]:
        """Of the hostile transport."""
        found: dict[str, Any] = self.client.call("stat")["transports"]["hostile"]
        return found

    def until(self, condition: Callable[[], object], what: str, timeout_s: float = _WAIT_S) -> None:
        """Wait for something."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not {what} after {timeout_s} s: {self.figures()}"
            time.sleep(0.05)

    def holdings(self) -> dict[str, int]:
        """What it has between two drivers, when all is reclaimed: what one has under way is no growth."""
        found = {"rings": 1}

        def look() -> bool:
            nonlocal found
            found = holdings(self.served.pid, self.client)
            return not found["rings"] and not self.figures()["left"]

        self.until(look, "without a driver")
        return found

    def until_started(self, count: int) -> None:
        """Wait until as many drivers were started."""
        self.until(lambda: self.figures()["starts"] >= count, f"{count} drivers")


@contextmanager
def besieged(work: Path, chosen: list[str], events: int, **patience: float) -> Iterator[Daemon]:
    """A daemon with hostile drivers."""
    table = "{" + ", ".join(f"{name} = {value}" for name, value in patience.items()) + "}"
    user = pwd.getpwuid(os.geteuid()).pw_name
    text = _CONFIG.format(user=user, attacks=json.dumps(chosen), events=events, begin=work / "begin", patience=table)
    (work / "tgtd.toml").write_text(Served.with_isolation(text))
    plugins = {hostile_driver.NAME: hostile_driver.__name__, memory.NAME: memory.__name__}
    environment = harsh_stores.environment(work, plugins)
    with (
        Served(work, "--config", "tgtd.toml", environment=environment) as served,
        Client(Path(served.socket)) as client,
    ):
        (work / "begin").touch()
        yield Daemon(served, client)


@pytest.mark.timeout(120 + _EVENTS / 500)
def test_each_is_dropped_in_words_and_nobody_else_notices(tmp_path: Path) -> None:
    every = list(attacks.ATTACKS)
    patience = {"first_s": 0.0, "longest_s": 0.0, "pulse_s": 0.5, "answer_s": 2.0}
    with besieged(tmp_path, every, max(_EVENTS // 20, 5000), **patience) as daemon:
        with neighbour(daemon.served.urls[0]) as beside_it:
            daemon.until_started(len(every) + 1)  # each kind once: then the daemon has all that it ever needs
            before = daemon.holdings()
            daemon.until(lambda: daemon.figures()["events"] >= _EVENTS, f"{_EVENTS} events", 60 + _EVENTS / 500)
            daemon.until_started(2 * len(every) + 1)
            after = daemon.holdings()
            daemon.until(lambda: daemon.figures()["left"] == 0, "reclaimed")
        found = daemon.figures()
    print(found, beside_it, before, after, sep="\n")
    log = daemon.served.log
    assert beside_it["wrong"] == ""
    assert beside_it["longest_s"] < _GAP_S
    assert log.count(_DROPPED) >= sum(found["reasons"].values()) >= 2 * len(every)
    assert "failed inside" not in log
    assert after["children"] <= before["children"] + 1
    assert after["descriptors"] <= before["descriptors"] + 8, "besides those of a driver that is there or not"
    assert after["threads"] <= before["threads"] + 1
    assert grown(before, after, objects=_OBJECTS_MORE) == {}


def test_one_that_breaks_the_rules_each_time_is_started_less_and_less_often(tmp_path: Path) -> None:
    with besieged(tmp_path, ["garbage"], 1) as daemon:
        daemon.until_started(3)
        began = time.monotonic()
        daemon.until_started(7)
        took_s = time.monotonic() - began
    assert took_s >= 0.1 + 0.2 + 0.4 + 0.8, "the waits between them"
    assert "another one is started in 0.8 s" in daemon.served.log


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that does nothing meanwhile."""
    assert pid, "there is none"
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def work(daemon: Daemon) -> dict[str, Any]:
    """What the neighbour gets done in a while."""
    with neighbour(daemon.served.urls[0]) as done:
        time.sleep(_MEASURED_S)
    assert done["wrong"] == ""
    return done


@pytest.mark.parametrize("how", _FLOODS)
def test_a_flood_starves_nobody(how: str, tmp_path: Path) -> None:
    with besieged(tmp_path, [how], _FOREVER, pulse_s=600, answer_s=60) as daemon:
        daemon.until(lambda: "attacks: life 0" in daemon.served.log, "hostile")
        pid = daemon.figures()["pid"]
        shares, longest_s = [], 0.0
        for _ in range(_TURNS):  # in turn, for other work on this machine comes and goes
            with stopped(pid):
                calm = work(daemon)
            flooded = work(daemon)
            shares.append(flooded["commands"] / calm["commands"])
            longest_s = max(longest_s, flooded["longest_s"])
        figures = daemon.figures()
        os.kill(pid, signal.SIGKILL)  # it would not answer to the end of the daemon either
    share = statistics.median(shares)
    print(f"{how}: {share:.2f} of {calm['commands'] / _MEASURED_S:.0f} commands/s; gap {longest_s:.3f} s; {figures}")
    assert figures["starts"] == 1, "it was not the same flood all the time"
    assert longest_s < _GAP_S
    assert share >= _STARVED
