"""SIGKILL of the daemon: its driver processes end by themselves, whatever they do, and a new daemon starts in its place."""

import getpass
import os
import signal
import socket
from pathlib import Path

import pytest
from isolation.wayward import install
from support.process import Tgtd

from tgtcore.testing.waiting import until

_CONFIG = """
plugins = ["iscsi", "disk", "file", "wayward"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
[transports.iscsi]
isolation = "process"
portals = [{{ address = "127.0.0.1:{port}" }}]
[transports.wayward]
isolation = "process"
user = "{user}"
hangs_when = "{folder}/hang"
"""


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process has not ended; what waits for its parent to look has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("how", ["", "hangs", "stopped"])
def test_driver_processes_end_with_the_daemon(how: str, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": install(tmp_path)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "c.toml").write_text(_CONFIG.format(port=port, user=getpass.getuser(), folder=tmp_path))
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path, env=environment) as tgtd:
        drivers = children(tgtd.process.pid)
        assert len(drivers) == 2
        if how == "stopped":
            os.kill(drivers[0], signal.SIGSTOP)
        if how == "hangs":
            (tmp_path / "hang").touch()
        tgtd.process.kill()
        tgtd.process.wait(20)
        until(lambda: not any(map(alive, drivers)), what=lambda: "a driver process has outlived the daemon")
    (tmp_path / "hang").unlink(missing_ok=True)
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path, env=environment) as again:
        assert len(children(again.process.pid)) == 2
        socket.create_connection(("127.0.0.1", port), 5).close()
        assert again.stop() == 0, again.log
