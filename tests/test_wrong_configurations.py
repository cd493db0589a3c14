"""Wrong configurations, as their users meet them: one clear message each, a non-zero exit, and nothing left behind."""

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.process import BIN, Tgtd, run

TARGET = "iqn.2025-01.example:a"
GOOD = f"""
plugins = ["iscsi", "disk", "file"]
[daemon]
socket = "run/tgtd.sock"
state_directory = "state"
[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]
[logical_units.a]
device_type = "disk"
store = {{ type = "file", path = "a.img" }}
[targets."{TARGET}"]
transport = "iscsi"
luns = {{ 0 = "a" }}
allow = {{ initiators = ["*"] }}
"""

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.img").write_bytes(bytes(1 << 20))
    (tmp_path / "c.toml").write_text(GOOD)
    return tmp_path


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_socket()}


def without_privileges() -> None:
    """In the child: root obeys file permissions as everybody else does."""
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def refused(folder: Path, *words: str | Path, **options: Any) -> str:
    """Run tgtd, which must fail, and return its only message."""
    before = contents(folder)
    done = subprocess.run(
        [BIN / "tgtd", *(words or ("--config", "c.toml"))],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )
    assert done.returncode in (1, 2, 3, 7), done
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tgtd: ")
    assert contents(folder) == before
    message: str = lines[0].removeprefix("tgtd: ")
    return message


PORTALS = "[transports.iscsi]"
UNIT = "[logical_units.a]"
MISTAKES = {
    "an unknown key": (
        PORTALS,
        f"{PORTALS}\nportalz = 1",
        "c.toml:7: transports.iscsi.portalz: unknown key; did you mean",
    ),
    "a duplicate LUN": (
        '{ 0 = "a" }',
        '{ 0 = "a", 00 = "a" }',
        f'c.toml:13: targets."{TARGET}".luns.00: LUN 0 is "a" already',
    ),
    "a bad name": (TARGET, "iqn.bad", 'c.toml:11: targets."iqn.bad": name'),
    "a plugin that is not installed": (
        '"disk"',
        '"dsik"',
        'no installed plugin is called "dsik"; did you mean "disk"?',
    ),
    "a store that is not there": ("a.img", "b.img", "logical unit a: store file("),
    "a block size that does not exist": (UNIT, f"{UNIT}\nblock_size = 100", "c.toml:9: logical_units.a.block_size: "),
    "an account that is not there": (
        "allow =",
        'auth = ["nobody"]\nallow =',
        'auth: there is no account called "nobody"',
    ),
    "a portal group that is not there": (
        "allow =",
        "portal_groups = [7]\nallow =",
        "portal_groups: no portal is in group 7",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_clear_message(folder: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    (folder / "c.toml").write_text(GOOD.replace(old, new))
    assert message in refused(folder)


def test_a_file_that_is_not_there(folder: Path) -> None:
    assert refused(folder, "--config", "none.toml") == "none.toml: no such file or directory"


def test_check_finds_the_same_without_serving(folder: Path) -> None:
    (folder / "c.toml").write_text(GOOD.replace('"a" }', '"b" }').replace("socket =", "sokcet ="))
    done = run("tgtd", "--check", "c.toml", cwd=folder)
    assert done.returncode == 2
    assert [line.split(":")[2] for line in done.stderr.splitlines()] == ["4", "13"]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use(folder: Path, taken: int) -> None:
    (folder / "c.toml").write_text(GOOD.replace("127.0.0.1:0", f"127.0.0.1:{taken}"))
    assert refused(folder) == f"transport iscsi: portal 127.0.0.1:{taken}: address already in use"


def test_a_port_in_use_when_serving_an_image(folder: Path, taken: int) -> None:
    message = refused(folder, "serve", "a.img", "--portal", f"127.0.0.1:{taken}")
    assert message == f"transport iscsi: portal 127.0.0.1:{taken}: address already in use"


def test_an_image_that_another_daemon_serves(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("other")
    with Tgtd("serve", folder / "a.img", "--portal", "127.0.0.1:0", "--json", cwd=elsewhere) as other:
        message = refused(folder, "serve", "a.img", "--portal", "127.0.0.1:0")
        assert "a.img" in message
        assert "in use" in message or "lock" in message
        assert other.stop() == 0


@pytest.mark.parametrize("name", ["a.img", "c.toml"])
def test_a_file_that_may_not_be_read(folder: Path, name: str) -> None:
    (folder / name).chmod(0)
    message = refused(folder, preexec_fn=without_privileges)
    assert name in message
    assert "permission denied" in message


def test_a_socket_of_another_daemon(folder: Path) -> None:
    with Tgtd("--config", "c.toml", "--json", cwd=folder) as first:
        (folder / "d.toml").write_text(GOOD.replace("a.img", "b.img"))
        assert "another tgtd is using it" in refused(folder, "--config", "d.toml")
        assert first.admin("lu", "list")[0]["name"] == "a"
        assert first.stop() == 0


def test_a_state_directory_that_can_not_be_made(folder: Path) -> None:
    (folder / "state").write_text("in the way")
    assert "state" in refused(folder)
    assert os.path.isfile(folder / "state")
