"""tgtd under a service manager: what it says, and when."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.manager import Manager
from support.process import Tgtd

CONFIG = """
plugins = ["iscsi", "disk", "file"]
[daemon]
socket = "s"
state_directory = "state"
[transports.iscsi]
portals = [{ address = "127.0.0.1:0" }]
[logical_units.a]
device_type = "disk"
store = { type = "memory", size = "1M" }
[targets."iqn.2026-11.org.example:a"]
transport = "iscsi"
luns = ["a"]
allow = { initiators = ["*"] }
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(tmp_path / "notify") as listening:
        yield listening


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(CONFIG)
    return path


def test_the_news_of_a_life(manager: Manager, config: Path) -> None:
    environ = {"NOTIFY_SOCKET": manager.address}
    with Tgtd("--config", config, "--json", cwd=config.parent, env=environ) as tgtd:
        assert manager.wait("EXTEND_TIMEOUT_USEC=15000000")
        assert manager.wait("READY=1") == ["READY=1", "STATUS=serving 1 logical units, 1 targets, 1 portals"]
        config.write_text(CONFIG.replace('luns = ["a"]', "luns = []"))
        tgtd.process.send_signal(signal.SIGHUP)
        assert manager.wait("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
        assert manager.wait("READY=1") == ["READY=1", "STATUS=serving 1 logical units, 1 targets, 1 portals"]
        config.write_text(f"{CONFIG}typo = 1\n")
        tgtd.process.send_signal(signal.SIGHUP)
        manager.wait("RELOADING=1")
        assert "the configuration was not reloaded: " in manager.wait("READY=1")[1]
        tgtd.process.terminate()
        assert manager.wait("STOPPING=1") == ["STOPPING=1", "STATUS=letting initiators finish"]
        assert manager.wait("EXTEND_TIMEOUT_USEC=15000000")
        assert tgtd.process.wait(20) == 0


def test_a_start_that_fails_is_never_ready(manager: Manager, config: Path) -> None:
    config.write_text(CONFIG.replace('type = "memory", size = "1M"', 'type = "file", path = "missing"'))
    with pytest.raises(AssertionError, match="did not get ready"):
        Tgtd("--config", config, cwd=config.parent, env={"NOTIFY_SOCKET": manager.address})
    while manager.next(0):
        pass
    assert not [news for news in manager.heard if "READY=1" in news]


def test_a_daemon_that_hangs_gives_no_sign_of_life(manager: Manager, config: Path) -> None:
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000"}
    with Tgtd("--config", config, "--json", cwd=config.parent, env=environ) as tgtd:
        manager.wait("READY=1")
        for _ in range(3):
            manager.wait("WATCHDOG=1")
        tgtd.process.send_signal(signal.SIGSTOP)
        while manager.next(0.3):
            pass
        tgtd.process.send_signal(signal.SIGCONT)
        manager.wait("WATCHDOG=1")


def test_portals_and_the_management_socket_are_inherited(config: Path, tmp_path: Path) -> None:
    """Clients that came before the daemon are served; names in the file system that are not ours stay."""
    with ExitStack() as stack:
        portal, unwanted = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        management = stack.enter_context(socket.socket(socket.AF_UNIX))
        management.bind(str(tmp_path / "s"))
        management.listen()
        config.write_text(CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{portal.getsockname()[1]}"))
        early = stack.enter_context(socket.create_connection(portal.getsockname()))
        sockets = [portal, unwanted, management]
        shell = 'eval "exec $HANDED"; LISTEN_PID=$$ exec "$@"'
        handed = " ".join(f"{3 + number}<&{100 + number}" for number in range(3))
        for number, sock in enumerate(sockets):
            os.dup2(sock.fileno(), 100 + number)
            stack.callback(os.close, 100 + number)
        environ = {"HANDED": handed, "LISTEN_FDS": "3", "LISTEN_FDNAMES": "iscsi:odd:management"}
        under = ("bash", "-c", shell, "bash")
        tgtd = stack.enter_context(
            Tgtd("--config", config, "--json", cwd=tmp_path, env=environ, under=under, pass_fds=(100, 101, 102))
        )
        url = f"iscsi://127.0.0.1:{portal.getsockname()[1]}/"
        assert [one[: len(url)] for one in tgtd.ready["urls"]] == [url]
        assert tgtd.admin("portal", "list")[0]["connections"] == 1
        assert f"the inherited socket at 127.0.0.1:{unwanted.getsockname()[1]} is closed" in tgtd.log
        early.close()
        assert tgtd.stop() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.toml", "s", "state", "tgtd.log"]
