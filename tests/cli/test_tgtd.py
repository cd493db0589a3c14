"""tgtd as its users run it."""

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from support.process import BIN, Tgtd, run

SERVE = ("serve", "a.img", "--size", "8M", "--portal", "127.0.0.1:0", "--json")


@pytest.fixture
def private(tmp_path: Path) -> dict[str, str]:
    """An environment in which private folders lie in the test's own."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    return {"XDG_RUNTIME_DIR": str(runtime)}


def test_an_image_is_made_served_and_left_in_order(tmp_path: Path, private: dict[str, str]) -> None:
    with Tgtd(*SERVE, cwd=tmp_path, env=private) as tgtd:
        assert tgtd.ready["ready"] is True
        assert tgtd.ready["pid"] == tgtd.process.pid
        (url,) = tgtd.ready["urls"]
        host, port = url.split("/")[2].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=5):
            pass
        assert tgtd.admin("lu", "list")[0]["size_bytes"] == 8 << 20
        assert tgtd.stop() == 0
        assert "Traceback" not in tgtd.log
    assert (tmp_path / "a.img").stat().st_size == 8 << 20
    assert os.listdir(tmp_path / "runtime") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains(tmp_path: Path, private: dict[str, str], number: signal.Signals) -> None:
    with Tgtd(*SERVE, cwd=tmp_path, env=private) as tgtd:
        assert tgtd.stop(number) == 0


CHAP = """to attach, with the secret in the place of SECRET:
  iscsiadm -m discovery -t sendtargets -p PORTAL
  iscsiadm -m node -T iqn.2025-01.example.tgtcore:serve -p PORTAL -o update -n node.session.auth.authmethod -v CHAP
  iscsiadm -m node -T iqn.2025-01.example.tgtcore:serve -p PORTAL -o update -n node.session.auth.username -v alice
  iscsiadm -m node -T iqn.2025-01.example.tgtcore:serve -p PORTAL -o update -n node.session.auth.password -v SECRET
  iscsiadm -m node -T iqn.2025-01.example.tgtcore:serve -p PORTAL --login
  qemu-system-x86_64 -drive file=iscsi://alice%SECRET@PORTAL/iqn.2025-01.example.tgtcore:serve/0,format=raw,if=virtio
  iscsi-inq iscsi://alice%SECRET@PORTAL/iqn.2025-01.example.tgtcore:serve/0
"""
PLAIN = """to attach:
  iscsiadm -m discovery -t sendtargets -p PORTAL
  iscsiadm -m node -T iqn.2025-01.example.tgtcore:serve -p PORTAL --login
  qemu-system-x86_64 -drive file=iscsi://PORTAL/iqn.2025-01.example.tgtcore:serve/0,format=raw,if=virtio
  iscsi-inq iscsi://PORTAL/iqn.2025-01.example.tgtcore:serve/0
"""


@pytest.mark.parametrize(("words", "lines"), [((), PLAIN), (("--chap-file", "chap"), CHAP)], ids=["plain", "CHAP"])
def test_people_are_told_how_to_attach(
    tmp_path: Path, private: dict[str, str], words: tuple[str, ...], lines: str
) -> None:
    (tmp_path / "chap").write_text("alice correct-horse-battery\n")
    (tmp_path / "chap").chmod(0o600)
    command: list[str | Path] = [BIN / "tgtd", *SERVE[:-1], *words]
    environment = {**os.environ, **private, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        text = ""
        while "ready" not in text:
            text += process.stdout.readline()
        found = re.match(r"disk0, 8.00 MiB: iscsi://(127.0.0.1:\d+)/iqn.2025-01.example.tgtcore:serve/0\n", text)
        assert found
        assert lines.replace("PORTAL", found[1]) in text
        assert "tgtadm --socket" in text
        assert "horse" not in text
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert rest == "stopping: letting initiators finish; Ctrl-C again ends it at once\n"


def test_a_hangup_reads_the_file_again(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        'plugins = ["iscsi", "disk", "file"]\n[daemon]\nsocket = "s"\nstate_directory = "state"\n'
        '[logical_units.a]\ndevice_type = "disk"\nstore = { type = "memory", size = "1M" }\n'
    )
    with Tgtd("--config", config, "--json", cwd=tmp_path) as tgtd:
        first = config.read_text()
        config.write_text(first + '[logical_units.b]\ndevice_type = "disk"\nstore = { type = "memory", size = "1M" }\n')
        tgtd.process.send_signal(signal.SIGHUP)
        tgtd.wait_log("the configuration was reloaded")
        assert [row["name"] for row in tgtd.admin("lu", "list")] == ["a", "b"]
        config.write_text(first + "typo = 1\n")
        tgtd.process.send_signal(signal.SIGHUP)
        tgtd.wait_log("was not reloaded")
        assert "c.toml:8" in tgtd.log
        assert [row["name"] for row in tgtd.admin("lu", "list")] == ["a", "b"]
        assert tgtd.stop() == 0


def test_a_good_file_is_checked_without_serving(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('plugins = ["file"]\n')
    done = run("tgtd", "--check", config)
    assert (done.returncode, done.stdout) == (0, f"{config}: no problems (0 targets, 0 logical units)\n")
    assert json.loads(run("tgtd", "--json", "--check", config).stdout)["ok"] is True


def test_installed_plugins_are_listed() -> None:
    rows = json.loads(run("tgtd", "plugins", "--json").stdout)
    found = {row["name"]: row["offers"] for row in rows}
    assert found["iscsi"] == {"transport": ["iscsi"]}
    assert found["disk"] == {"device type": ["disk"]}
    assert set(found["file"]["store"]) == {"file", "memory", "null"}


@pytest.mark.parametrize("words", [[], ["--config", "x", "serve", "y"], ["serve"], ["--nonsense"]])
def test_wrong_usage_is_exit_status_2(words: list[str], tmp_path: Path) -> None:
    done = run("tgtd", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "Usage: tgtd" in done.stderr


def test_it_stays_small(tmp_path: Path, private: dict[str, str]) -> None:
    with Tgtd(*SERVE, cwd=tmp_path, env=private) as tgtd:
        status = Path("/proc", str(tgtd.process.pid), "status").read_text()
    (resident,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
    assert resident < 80 * 1024
