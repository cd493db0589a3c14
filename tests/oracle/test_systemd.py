"""systemd's own programs judge the units and hand over sockets.  No manager runs."""

import os
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
from oracle.served import TARGET, Served

_UNITS = Path(__file__).parents[2] / "contrib" / "systemd"
_CONFIGURATION = """
plugins = ["iscsi", "disk", "file"]
[daemon]
socket = "{socket}"
state_directory = "{state}"
[transports.iscsi]
portals = [{{ address = "127.0.0.1:{port}" }}, {{ address = "[::1]:{port}" }}]
[logical_units.disk]
device_type = "disk"
store = {{ type = "memory", size = "16M" }}
[targets."{target}"]
transport = "iscsi"
luns = ["disk"]
allow = {{ initiators = ["*"] }}
"""


@pytest.mark.parametrize("unit", ["tgtd.service", "tgtd.socket"])
def test_systemd_accepts_the_units(tmp_path: Path, unit: str) -> None:
    program = tmp_path / "tgtd"
    program.touch()
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for path in _UNITS.iterdir():
        text = path.read_text().replace("/opt/tgtcore/bin/tgtd", str(program)).replace("=tgtcore\n", "=root\n")
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit], capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def port() -> int:
    """A port that is free on both families."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        number: int = one.getsockname()[1]
        return number


def test_portals_and_the_management_socket_are_activated(tmp_path: Path, port: int) -> None:
    """The daemon starts because somebody comes, and serves them who came first."""
    management = tmp_path / "tgtd.sock"
    path = tmp_path / "tgtd.toml"
    path.write_text(_CONFIGURATION.format(socket=management, state=tmp_path / "state", port=port, target=TARGET))
    addresses = (f"127.0.0.1:{port}", f"[::1]:{port}", str(management))
    listen = [word for address in addresses for word in ("-l", address)]
    program = shutil.which("systemd-socket-activate")
    assert program, "the package systemd is not installed"
    early: list[socket.socket] = []

    def come() -> None:
        early.append(connected(management))

    under = (program, *listen, "--fdname=v4:v6:management", "-E", f"PATH={os.environ['PATH']}")
    with Served(tmp_path, "--config", path, under=under, wake=come) as served:
        assert [row["address"] for row in served.admin("portal", "list")] == list(addresses[:2])
        assert served.pid == served.process.pid
        for one in early:
            one.close()
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), 10):
                pass
        assert "is closed" not in served.log
    assert management.exists(), "its name belongs to whoever has made it"


def connected(path: Path) -> socket.socket:
    """A connection to a UNIX socket that is about to be there."""
    sock = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + 20
    while True:
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < deadline, f"nobody listens at {path}"
            time.sleep(0.02)
        else:
            return sock
