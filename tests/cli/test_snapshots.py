"""Snapshots by tgtadm, of a whole daemon."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from oracle.harsh_stores import environment
from support import keeping_file
from support.one_disk import WAIT_S, one_disk
from support.process import BIN, Tgtd, run

from tgtcore.testing.waiting import until

CONFIG = one_disk('{ type = "keeping-file", path = "data.img", held_up_by = "held" }', "keeping")


@pytest.fixture
def tgtd(tmp_path: Path) -> Iterator[Tgtd]:
    (tmp_path / "c.toml").write_text(CONFIG)
    environ = environment(tmp_path, {keeping_file.NAME: keeping_file.__name__})
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path, env=environ) as tgtd:
        yield tgtd


def refused(tgtd: Tgtd, status: int, *words: str) -> str:
    done = run("tgtadm", "--socket", tgtd.ready["socket"], *words)
    assert done.returncode == status, done.stderr
    text: str = done.stderr
    return text


def test_what_a_disk_held_comes_back(tgtd: Tgtd, tmp_path: Path) -> None:
    image = tmp_path / "data.img"
    with image.open("r+b") as file:
        file.write(b"before")
    made = tgtd.admin("snapshot", "create", "data", "before the upgrade")
    assert (made["unit"], made["name"], made["size_bytes"]) == ("data", "before the upgrade", 1 << 20)
    assert 0 <= made["paused_ms"] < 5000
    with image.open("r+b") as file:
        file.write(b"after!")
    unnamed = tgtd.admin("snapshot", "create", "data")
    assert [row["name"] for row in tgtd.admin("snapshot", "list", "data")] == ["before the upgrade", unnamed["name"]]
    tgtd.admin("snapshot", "revert", "data", "before the upgrade")
    assert image.read_bytes()[:6] == b"before"
    tgtd.admin("snapshot", "revert", "data", unnamed["id"])
    assert image.read_bytes()[:6] == b"after!"
    tgtd.admin("snapshot", "delete", "data", "1")
    shown = run("tgtadm", "--socket", tgtd.ready["socket"], "snapshot", "list", "data").stdout
    header, _, row = shown.strip().splitlines()
    assert header.split() == ["id", "name", "created", "size", "bytes"]
    assert row.split() == ["2", unnamed["name"], unnamed["created"], "1.00", "MiB"]


def test_mistakes_have_their_statuses(tgtd: Tgtd) -> None:
    tgtd.admin("snapshot", "create", "data", "one")
    assert 'there is a snapshot "one" already' in refused(tgtd, 1, "snapshot", "create", "data", "one")
    assert 'no snapshot "two"' in refused(tgtd, 4, "snapshot", "delete", "data", "two")
    assert "no logical unit called" in refused(tgtd, 4, "snapshot", "list", "other")


def test_who_interrupts_tgtadm_gets_a_whole_snapshot(tgtd: Tgtd, tmp_path: Path) -> None:
    (tmp_path / "held").touch()
    words = [BIN / "tgtadm", "--socket", tgtd.ready["socket"], "snapshot", "create", "data", "one"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tgtadm:
        until(lambda: bool(tgtd.admin("stat")["leases"]))
        tgtadm.send_signal(signal.SIGINT)
        assert tgtadm.wait(WAIT_S) == 130
    assert "has not ended after 0.05 s" in refused(tgtd, 5, "snapshot", "list", "data", "--deadline", "0.05")
    (tmp_path / "held").unlink()
    assert [row["name"] for row in tgtd.admin("snapshot", "list", "data")] == ["one"]


def test_a_stop_waits_for_a_snapshot(tgtd: Tgtd, tmp_path: Path) -> None:
    (tmp_path / "held").touch()
    words = [BIN / "tgtadm", "--socket", tgtd.ready["socket"], "snapshot", "create", "data", "one", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as tgtadm:
        until(lambda: bool(tgtd.admin("stat")["leases"]))
        tgtd.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in refused_or_none(tgtd))
        (tmp_path / "held").unlink()
        assert tgtadm.stdout is not None
        assert json.loads(tgtadm.stdout.read())["name"] == "one"
    assert tgtd.process.wait(WAIT_S) == 0
    assert (tmp_path / "data.img.1.one").stat().st_size == 1 << 20


def refused_or_none(tgtd: Tgtd) -> str:
    """What the daemon says of itself."""
    done = run("tgtadm", "--socket", tgtd.ready["socket"], "show")
    text: str = done.stdout + done.stderr
    return text


def test_a_schedule_begins_and_ends_with_the_configuration(tgtd: Tgtd, tmp_path: Path) -> None:
    schedule = "[logical_units.data.snapshots]\nevery_s = 1\nkeep = 2\n"
    (tmp_path / "c.toml").write_text(CONFIG.replace("[targets", f"{schedule}[targets"))
    tgtd.process.send_signal(signal.SIGHUP)
    until(lambda: any(int(row["id"]) > 3 for row in tgtd.admin("snapshot", "list", "data")))
    (tmp_path / "c.toml").write_text(CONFIG)
    tgtd.process.send_signal(signal.SIGHUP)
    until(lambda: tgtd.admin("lu", "show", "data")["snapshots"] is None)
    rows = tgtd.admin("snapshot", "list", "data")
    assert all(row["name"].startswith("scheduled-") for row in rows)
    assert 2 <= len(rows) <= 3
    assert "change logical unit data: snapshots" in tgtd.log


def test_a_copy_of_a_snapshot_is_a_file_of_its_own(tgtd: Tgtd, tmp_path: Path) -> None:
    tgtd.admin("snapshot", "create", "data", "one")
    done = tgtd.admin("snapshot", "clone", "data", "one", str(tmp_path / "copy.img"))
    assert (done["name"], done["path"]) == ("one", str(tmp_path / "copy.img"))
    assert (tmp_path / "copy.img").read_bytes() == bytes(1 << 20)
    assert "file exists" in refused(tgtd, 1, "snapshot", "clone", "data", "one", str(tmp_path / "copy.img"))


@contextmanager
def copying(tgtd: Tgtd, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Somebody copies a snapshot, and is held up half-way; at the end nothing is left of the copy."""
    tgtd.admin("snapshot", "create", "data", "one")
    (tmp_path / "held").touch()
    copy, part = tmp_path / "copy.img", tmp_path / "copy.img.part"
    words = [BIN / "tgtadm", "--socket", tgtd.ready["socket"], "snapshot", "clone", "data", "one", copy]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tgtadm:
        until(part.exists)
        yield tgtadm
    until(lambda: not part.exists())
    assert not copy.exists()


def test_who_interrupts_tgtadm_gives_a_copy_up(tgtd: Tgtd, tmp_path: Path) -> None:
    with copying(tgtd, tmp_path) as tgtadm:
        assert tgtadm.stderr is not None
        assert tgtadm.stderr.readline().startswith("[##########..........] 50% of 0.0 GiB, about ")
        tgtadm.send_signal(signal.SIGINT)
        assert tgtadm.wait(WAIT_S) == 130
        assert "interrupted; the daemon gives it up" in tgtadm.stderr.read()


def test_a_stop_gives_a_copy_up(tgtd: Tgtd, tmp_path: Path) -> None:
    with copying(tgtd, tmp_path) as tgtadm:
        assert tgtd.stop() == 0
        assert tgtadm.wait(WAIT_S) != 0
