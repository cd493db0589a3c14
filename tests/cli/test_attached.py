"""Drivers that attach by themselves to a whole daemon, and to its successor."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from isolation.wayward import NAME, install
from support.process import Tgtd, run

from tgtcore.testing.waiting import until

CONFIG = f"""
plugins = ["{NAME}", "disk", "file"]
[daemon]
socket = "run/tgtd.sock"
state_directory = "state"
drain_s = 1
[transports.{NAME}]
isolation = "attached"
socket = "run/ring.sock"
[logical_units.disk]
device_type = "disk"
store = {{ type = "file", path = "disk.img", size = "1M", create = true }}
[targets.one]
transport = "{NAME}"
luns = ["disk"]
"""
WAIT_S = 30


class House:
    """A folder with a configuration, its daemons and its drivers."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._environment = {**os.environ, "PYTHONPATH": install(folder)}
        (folder / "run").mkdir()
        (folder / "c.toml").write_text(CONFIG)

    def daemon(self, *words: str) -> Tgtd:
        folder = self.folder / f"log{len(list(self.folder.glob('log*')))}"
        folder.mkdir()
        config = self.folder / "c.toml"
        return self._stack.enter_context(Tgtd("--config", config, "--json", *words, cwd=folder, env=self._environment))

    def driver(self, name: str) -> "subprocess.Popen[bytes]":
        path = str(self.folder / "run" / "ring.sock")
        words = [sys.executable, "-m", "isolation.visitor", path, name]
        process = subprocess.Popen(words, env=self._environment, stderr=subprocess.PIPE)
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        return process


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)
    assert not list((tmp_path / "run").iterdir()), "a socket or a lock is left"


def about(daemon: Tgtd) -> Any:
    return daemon.admin("stat")["transports"][NAME]["process"]


def test_a_driver_comes_dies_and_another_takes_its_place(house: House) -> None:
    daemon = house.daemon()
    assert daemon.admin("portal", "list") == []
    first = house.driver("first")
    until(lambda: about(daemon)["state"] == "serving")  # only then are its sockets known, which the next one gets
    (portal,) = daemon.admin("portal", "list")
    first.kill()
    until(lambda: about(daemon)["state"] == "waiting")
    second = house.driver("second")
    until(lambda: about(daemon)["driver"] == f"second (process {second.pid})")
    until(lambda: daemon.admin("portal", "list"))
    assert daemon.admin("portal", "list")[0]["address"] == portal["address"]
    assert daemon.stop() == 0
    assert second.wait(WAIT_S) == 0
    assert "Traceback" not in daemon.log


def test_its_portals_are_its_own(house: House) -> None:
    daemon = house.daemon()
    house.driver("tester")
    until(lambda: daemon.admin("portal", "list"))
    address = daemon.admin("portal", "list")[0]["address"]
    for verb in ("add", "remove", "drain"):
        done = run("tgtadm", "--socket", daemon.ready["socket"], "portal", verb, address, "--transport", NAME)
        assert f"transport {NAME} has no portals that can be added, removed or drained" in done.stderr
    assert daemon.admin("portal", "list")[0]["address"] == address


def test_a_successor_has_the_same_door(house: House) -> None:
    old = house.daemon()
    first = house.driver("first")
    until(lambda: about(old)["state"] == "serving")
    (portal,) = old.admin("portal", "list")
    new = house.daemon("--take-over")
    assert old.process.wait(WAIT_S) == 0
    assert first.wait(WAIT_S) == 0
    house.driver("second")
    until(lambda: new.admin("portal", "list"))
    assert new.admin("portal", "list")[0]["address"] == portal["address"]
    assert new.stop() == 0
    assert "Traceback" not in old.log + new.log


def test_a_driver_ends_with_a_daemon_that_is_killed(house: House) -> None:
    killed = house.daemon()
    driver = house.driver("orphan")
    until(lambda: killed.admin("portal", "list"))
    killed.process.kill()
    killed.process.wait(WAIT_S)
    assert driver.wait(WAIT_S) == 0
    assert house.daemon().stop() == 0, "what the killed one has left is in nobody's way"
