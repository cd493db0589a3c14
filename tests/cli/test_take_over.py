"""One daemon takes the place of another: nobody is refused, nothing is lost, and somebody serves whatever happens."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from support.manager import Manager
from support.process import BIN, Tgtd, run
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client

TARGET = "iqn.2026-11.org.example:disk"
CONFIG = """
plugins = ["iscsi", "disk", "file"]
[daemon]
socket = "run/tgtd.sock"
state_directory = "state"
drain_s = 1
[transports.iscsi]
portals = [{ address = "127.0.0.1:0" }]
[logical_units.disk]
device_type = "disk"
store = { type = "file", path = "disk.img", size = "1M", create = true }
[targets."iqn.2026-11.org.example:disk"]
transport = "iscsi"
luns = ["disk"]
allow = { initiators = ["*"] }
"""
DYING = Path(__file__).parents[1] / "support" / "dying.py"
READY, POWER_ON = bytes(6), (0x29, 0)
WRITE, READ = bytes.fromhex("2a00000000000000 0100"), bytes.fromhex("2800000000000000 0100")
REGISTER = bytes.fromhex("5f00000000000000 1800")
READ_FULL_STATUS = bytes.fromhex("5e03000000000000 ff00")
BLOCK = bytes(range(256)) * 2


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def start(config: Path) -> Iterator[Callable[..., Tgtd]]:
    """Starts a daemon in a folder of its own for its log; at the end none is left, and nothing of them but what they keep."""
    with ExitStack() as stack:

        def begin(*words: str, under: tuple[str | Path, ...] = (), env: dict[str, str] | None = None) -> Tgtd:
            folder = config.parent / f"log{len(list(config.parent.glob('log*')))}"
            folder.mkdir()
            return stack.enter_context(Tgtd("--config", config, "--json", *words, cwd=folder, under=under, env=env))

        yield begin
    assert not list(config.parent.glob("run/*")), "the management socket or its lock is left"


def portal(tgtd: Tgtd) -> Address:
    host, port = tgtd.ready["urls"][0].split("/")[2].split(":")
    return Address(host, int(port))


def log_in(address: Address) -> Client:
    """A session that has been told of the power on."""
    client = Client(address, TARGET, "iqn.2026-11.org.example:host")
    answer = client.execute(READY)
    assert (answer.sense[2] & 0xF, answer.sense[12], answer.sense[13]) == (6, *POWER_ON)
    return client


def write(address: Address) -> None:
    client = log_in(address)
    assert client.execute(WRITE, out=BLOCK).status == 0
    client.close()


def read(address: Address) -> bytes:
    client = log_in(address)
    data = client.execute(READ, room=512).data
    client.close()
    return data


class Knocking:
    """Somebody who connects all the time; nobody may refuse."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._stop = threading.Event()
        self.refused: list[OSError] = []
        self.knocks = 0
        self._thread = threading.Thread(target=self._knock)

    def _knock(self) -> None:
        while not self._stop.wait(0.002):
            try:
                socket.create_connection(self._address, 10).close()
            except OSError as error:
                self.refused.append(error)
            self.knocks += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_successor_serves_at_the_same_place(start: Callable[..., Tgtd], config: Path, isolation: str) -> None:
    config.write_text(CONFIG.replace("[transports.iscsi]", f'[transports.iscsi]\nisolation = "{isolation}"'))
    first = start()
    address = portal(first)
    write(address)
    with Knocking(address) as knocking:
        second = start("--take-over")
        third = start("--take-over")
    assert (knocking.refused, knocking.knocks > 0) == ([], True)
    assert portal(second) == portal(third) == address
    assert [first.process.wait(20), second.process.wait(20)] == [0, 0]
    assert read(address) == BLOCK
    assert third.admin("stat")["daemon"]["pid"] == third.process.pid
    assert third.stop() == 0
    assert "Traceback" not in first.log + second.log + third.log


def test_registrations_survive_without_aptpl_too(start: Callable[..., Tgtd]) -> None:
    address = portal(start())
    client = log_in(address)
    assert client.execute(REGISTER, out=bytes(8) + b"12345678" + bytes(8)).status == 0
    before = client.execute(READ_FULL_STATUS, room=255).data
    start("--take-over")
    after = log_in(address)
    assert after.execute(READ_FULL_STATUS, room=255).data == before
    assert before[3] == 1
    assert b"12345678" in before
    after.close()
    client.abort()


def test_the_configuration_may_be_another_one(start: Callable[..., Tgtd], config: Path) -> None:
    first = start()
    gone = portal(first)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{port}").replace('luns = ["disk"]', 'luns = { 5 = "disk" }')
    config.write_text(text)
    second = start("--take-over")
    assert second.ready["urls"] == [f"iscsi://127.0.0.1:{port}/{TARGET}/5"]
    assert f"the inherited socket at {gone} is closed" in second.log
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(gone)


MISTAKES = {
    "a key": ("[daemon]", "[daemon]\ntypo = 1", 2, "typo"),
    "a plugin": ('["iscsi", ', '["iscsi", "nosuch", ', 3, "nosuch"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_successor_with_a_mistake_disturbs_nobody(start: Callable[..., Tgtd], config: Path, mistake: str) -> None:
    """Not even the sessions that are logged in."""
    old, new, status, word = MISTAKES[mistake]
    address = portal(start())
    client = log_in(address)
    config.write_text(CONFIG.replace(old, new))
    done = run("tgtd", "--config", config, "--take-over")
    assert done.returncode == status
    assert word in done.stderr
    assert client.execute(READY).status == 0
    client.close()


@pytest.mark.parametrize("failure", ["a store", "a portal"])
def test_when_a_successor_fails_the_predecessor_serves_again(
    start: Callable[..., Tgtd], config: Path, failure: str
) -> None:
    first = start()
    address = portal(first)
    client = log_in(address)
    assert client.execute(WRITE, out=BLOCK).status == 0
    assert client.execute(REGISTER, out=bytes(8) + b"12345678" + bytes(8)).status == 0
    registered = client.execute(READ_FULL_STATUS, room=255).data
    with socket.create_server(("127.0.0.1", 0)) as taken, Knocking(address) as knocking:
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        old, new = {
            "a store": ('path = "disk.img", size = "1M", create = true', 'path = "missing.img"'),
            "a portal": ('"127.0.0.1:0" }', f'"127.0.0.1:0" }}, {{ address = "{busy}" }}'),
        }[failure]
        assert old in CONFIG
        config.write_text(CONFIG.replace(old, new))
        done = run("tgtd", "--config", config, "--take-over")
        assert done.returncode != 0
        assert "the former daemon serves again" in done.stderr
        assert ("missing.img" if failure == "a store" else busy) in done.stderr
        client.abort()
        client = log_in(address)
        assert client.execute(READ, room=512).data == BLOCK
        assert client.execute(READ_FULL_STATUS, room=255).data == registered
        client.close()
    assert knocking.refused == []
    assert "can't take over" in first.log
    first.wait_serving()
    assert first.admin("portal", "list")[0]["address"] == str(address)
    config.write_text(CONFIG)
    second = start("--take-over")
    assert portal(second) == address
    assert first.process.wait(20) == 0


def test_nobody_to_take_over_from(config: Path) -> None:
    done = run("tgtd", "--config", config, "--take-over")
    assert done.returncode == 6
    assert "no daemon answers" in done.stderr


def test_a_private_daemon_is_not_taken_over(tmp_path: Path, config: Path) -> None:
    with Tgtd("serve", "a.img", "--size", "1M", "--portal", "127.0.0.1:0", "--json", cwd=tmp_path) as tgtd:
        config.write_text(CONFIG.replace("run/tgtd.sock", tgtd.ready["socket"]))
        done = run("tgtd", "--config", config, "--take-over")
        assert done.returncode == 1
        assert "is not taken over" in done.stderr
        assert tgtd.admin("lu", "list")[0]["name"] == "disk0"


def test_the_service_manager_follows(start: Callable[..., Tgtd], tmp_path: Path) -> None:
    """It hears of the new main process before that one says that it is ready, so that it listens to it."""
    with Manager(tmp_path / "notify") as manager:
        environ = {"NOTIFY_SOCKET": manager.address}
        first = start(env=environ)
        manager.wait("READY=1")
        second = start("--take-over", env=environ)
        assert manager.wait("MAINPID=") == [f"MAINPID={second.process.pid}"]
        manager.wait("READY=1")
        assert first.process.wait(20) == 0
        assert not [news for news in manager.heard if "STOPPING=1" in news]


OLD_DIES = [
    ("after", "send", "offer"),
    ("after", "send", "offered"),
    ("after", "receive", "go"),
    ("before", "send", "yours"),
    ("after", "send", "yours"),
    ("after", "receive", "serving"),
]
NEW_DIES = [
    ("after", "receive", "offer"),
    ("after", "receive", "offered"),
    ("before", "send", "go"),
    ("after", "send", "go"),
    ("after", "receive", "yours"),
    ("before", "send", "serving"),
]


@pytest.mark.parametrize("step", OLD_DIES, ids=" ".join)
def test_the_predecessor_is_killed(start: Callable[..., Tgtd], config: Path, step: tuple[str, str, str]) -> None:
    """Then the successor serves; only while it has nothing yet may it give up, and be started again."""
    first = start(under=(sys.executable, DYING, *step))
    address = portal(first)
    write(address)
    if step[2] == "offer":
        done = run("tgtd", "--config", config, "--take-over")
        assert done.returncode == 1
        assert "does not hand over" in done.stderr
        first.process.wait(20)
        config.write_text(CONFIG.replace("127.0.0.1:0", str(address)))
        second = start()
    else:
        second = start("--take-over")
    assert first.process.wait(20) == -signal.SIGKILL
    assert portal(second) == address
    assert read(address) == BLOCK
    assert second.stop() == 0


@pytest.mark.parametrize("step", NEW_DIES, ids=" ".join)
def test_the_successor_is_killed(start: Callable[..., Tgtd], config: Path, step: tuple[str, str, str]) -> None:
    """Then the predecessor serves, and can be followed by another one."""
    first = start()
    address = portal(first)
    write(address)
    with Knocking(address) as knocking:
        command = [sys.executable, DYING, *step, BIN / "tgtd", "--config", config, "--take-over"]
        died = subprocess.run(command, capture_output=True, timeout=30, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr
        first.wait_log("this one serves on", "this daemon serves again")  # a login before that may be cut
        assert read(address) == BLOCK
        first.wait_serving()
        assert first.admin("lu", "list")[0]["name"] == "disk"
        second = start("--take-over")
    assert knocking.refused == []
    assert first.process.wait(20) == 0
    assert portal(second) == address
    assert read(address) == BLOCK
