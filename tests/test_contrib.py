"""What contrib/ has is used as its users use it."""

import configparser
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.process import run

from tgtcore.config.models import DaemonOptions
from tgtcore.management.protocol import Code

CONTRIB = Path(__file__).parent.parent / "contrib"
SAMPLES = sorted((CONTRIB / "config").glob("*.toml"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_sample_configurations_are_accepted(path: Path) -> None:
    done = run("tgtd", "--check", path, env={"TGTCORE_SECRET": "a-secret-of-somebody"})
    assert done.returncode == 0, done.stderr
    assert "no problems" in done.stdout


def test_the_service_fits_the_daemon() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(CONTRIB / "systemd" / "tgtd.service")
    service = unit["Service"]
    start, checked = service["ExecStart"].split(), service["ExecStartPre"].split()
    assert start[1:] == ["--config", checked[2]]
    assert checked[1] == "--check"
    assert int(service["TimeoutStopSec"]) > 3 * DaemonOptions().drain_s
    hopeless = {str(code.exit_status) for code in (Code.CONFIG, Code.PLUGIN)}
    assert set(service["RestartPreventExitStatus"].split()) == hopeless


@contextmanager
def demo(*words: str | Path, **streams: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """The demo with little to write, in a session of its own; it is gone at the end."""
    process = subprocess.Popen(
        words or [sys.executable, CONTRIB / "demo.py"],
        start_new_session=True,
        env={**os.environ, "TGTCORE_DEMO_MIB": "8", "TERM": "dumb"},
        **streams,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)


def test_the_demo_ends_after_its_report_without_a_terminal() -> None:
    with demo(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        output, _ = process.communicate(timeout=50)
    assert process.returncode == 0, output
    for word in (b"serving", b"logged in", b"verified 8 MiB", b"attach", b"exit status 0"):
        assert word in output


def own_terminal() -> None:
    """In the child, which leads a session: the terminal that it opens first is the one whose Ctrl-C it gets."""
    os.close(os.open(os.ttyname(0), os.O_RDWR))


@pytest.mark.parametrize("moment", [b"serving", b"logged in", b"serving until Ctrl-C"])
def test_make_demo_serves_until_ctrl_c_on_a_terminal(tmp_path: Path, moment: bytes) -> None:
    """With make above it, to which Ctrl-C would be a failure; at any moment, also more than once."""
    (tmp_path / "Makefile").write_text(f"demo:\n\t@{sys.executable} {CONTRIB / 'demo.py'}\n")
    terminal, inner = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), inner)
    try:
        with demo("make", "-C", tmp_path, "demo", preexec_fn=own_terminal, **streams) as process:
            os.close(inner)
            output = read_until(terminal, moment)
            os.write(terminal, b"\x03\x03")
            output += read_until(terminal, b"exit status 0")
            assert process.wait(20) == 0, output
    finally:
        os.close(terminal)


def read_until(terminal: int, words: bytes) -> bytes:
    """What a terminal shows up to some words.

    :raises AssertionError: it was closed before, or nothing came for a long time.
    """
    output = b""
    while words not in output:
        assert select.select([terminal], [], [], 40)[0], output
        try:
            output += os.read(terminal, 65536)
        except OSError as closed:
            raise AssertionError(output) from closed
    return output


class Hooked:
    """A folder with an ``xl`` and a ``tgtadm`` that note what they are called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("xl", "tgtadm"):
            program = folder / name
            program.write_text(
                f'#!/bin/sh\necho {name} "$@" >>{folder}/calls\n[ ! -e "{folder}/${{3:-none}}" ] || exit 4\n'
            )
            program.chmod(0o755)

    def run(self, script: str, *words: str) -> tuple[int, list[str]]:
        """Exit status, and the calls."""
        calls = self.folder / "calls"
        calls.write_text("")
        path = f"{self.folder}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "TGTCORE_XEN_HBAS": str(self.folder)}
        done = subprocess.run([CONTRIB / "xen" / script, *words], env=env, timeout=20, check=False)
        return done.returncode, calls.read_text().splitlines()


def test_a_guest_of_xl_gets_its_hbas_before_it_runs(tmp_path: Path) -> None:
    hooked = Hooked(tmp_path)
    attached = ["tgtadm xen attach hba=web1/0", "tgtadm xen attach hba=web1/1"]
    made = ["xl create -p web1.cfg", *attached, "xl unpause web1"]
    assert hooked.run("xl-start", "web1.cfg", "web1/0", "web1/1") == (0, made)
    (tmp_path / "hba=web1").mkdir()
    (tmp_path / "hba=web1" / "1").touch()
    assert hooked.run("xl-start", "web1.cfg", "web1/0", "web1/1") == (4, [*made[:3], "xl destroy web1"])
    assert hooked.run("xl-start", "web1.cfg") == (2, [])


def test_a_guest_that_xl_restores_gets_its_hbas_before_it_goes_on(tmp_path: Path) -> None:
    hooked = Hooked(tmp_path)
    attached = ["tgtadm xen attach hba=web1/0", "tgtadm xen attach hba=web1/1"]
    made = ["xl restore -p saved", *attached, "xl unpause web1"]
    assert hooked.run("xl-restore", "saved", "web1/0", "web1/1") == (0, made)
    (tmp_path / "hba=web1").mkdir()
    (tmp_path / "hba=web1" / "1").touch()
    assert hooked.run("xl-restore", "saved", "web1/0", "web1/1") == (4, made[:3]), "it stays paused"
    assert hooked.run("xl-restore", "saved") == (2, [])


def test_a_guest_of_libvirt_gets_its_hbas(tmp_path: Path) -> None:
    hooked = Hooked(tmp_path)
    (tmp_path / "web1").write_text("# disks\n0\n1 database")
    attached = ["tgtadm xen attach hba=web1/0", "tgtadm xen attach hba=web1/1 target=database"]
    detached = ["tgtadm xen detach hba=web1/0 deadline=0", "tgtadm xen detach hba=web1/1 deadline=0"]
    assert hooked.run("libvirt-hook", "web1", "started", "begin", "-") == (0, attached)
    assert hooked.run("libvirt-hook", "web1", "prepare", "begin", "-") == (0, [])
    assert hooked.run("libvirt-hook", "web2", "started", "begin", "-") == (0, [])
    (tmp_path / "hba=web1").mkdir()
    (tmp_path / "hba=web1" / "0").touch()
    assert hooked.run("libvirt-hook", "web1", "release", "end", "-") == (0, detached), "one that has gone is no failure"
    assert hooked.run("libvirt-hook", "web1", "started", "begin", "-") == (4, attached[:1])
