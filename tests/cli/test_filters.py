"""Filters by tgtadm, of a whole daemon."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.one_disk import WAIT_S, one_disk
from support.plans import plan, step
from support.process import BIN, Tgtd, run

from tgtcore.testing.waiting import until

CONFIG = one_disk('{ type = "memory", size = "1M" }', "file", "filters")
PLAN = plan(
    "data",
    (0, 'add = { type = "log", path = "data.jsonl" }'),
    (0, 'add = { type = "crash" }'),
    (0.1, 'do = { filter = "crash", action = "crash", seed = 3 }'),
)
LONG = PLAN + step(100)


@pytest.fixture
def tgtd(tmp_path: Path) -> Iterator[Tgtd]:
    (tmp_path / "c.toml").write_text(CONFIG)
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path) as tgtd:
        yield tgtd


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with plans, which is not that of the daemon."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "p.toml").write_text(PLAN)
    (folder / "long.toml").write_text(LONG)
    return folder


def names(tgtd: Tgtd) -> list[str]:
    return [row["name"] for row in tgtd.admin("filter", "list")]


def test_filters_are_managed(tgtd: Tgtd, elsewhere: Path) -> None:
    socket = tgtd.ready["socket"]
    done = run(
        "tgtadm", "--socket", socket, "filter", "add", "data", "log", "path=l.jsonl", "--name", "l", cwd=elsewhere
    )
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "l.jsonl").exists()
    tgtd.admin("filter", "add", "data", "delay", "seconds=0.5", "--before", "l")
    tgtd.admin("filter", "change", "data", "delay", "seconds=0.25", "commands=READ (10)")
    shown = tgtd.admin("filter", "show", "data", "delay")
    assert (shown["options"]["seconds"], shown["options"]["commands"]) == (0.25, ["READ (10)"])
    assert tgtd.admin("filter", "do", "data", "l", "rotate")["result"] == {}
    done = run("tgtadm", "--socket", socket, "filter", "list", "data")
    assert done.returncode == 0, done.stderr
    listed = done.stdout.strip().splitlines()
    assert listed[0].split() == ["unit", "name", "type", "sees", "key", "held"]
    assert [line.split()[1] for line in listed[2:]] == ["delay", "l"]
    tgtd.admin("filter", "remove", "data", "delay")
    assert names(tgtd) == ["l"]


def test_mistakes_have_their_statuses(tgtd: Tgtd, elsewhere: Path) -> None:
    (elsewhere / "bad.toml").write_text(PLAN + step(0, 'remove = "crsh"'))
    for words, status, said in [
        (["filter", "add", "data", "dealy"], 2, 'there is no filter called "dealy"; did you mean "delay"?'),
        (["filter", "remove", "data", "x"], 4, 'logical unit data has no filter called "x"'),
        (["filter", "play", "p.tml"], 1, "p.tml: no such file or directory"),
        (["filter", "play", "bad.toml"], 2, "bad.toml:12: step[3].at: 0 s is before the step above, which is at 0.1 s"),
        (
            ["filter", "play", "bad.toml"],
            2,
            'bad.toml:13: step[3].remove: at that time, logical_units.data has no filter called "crsh"',
        ),
    ]:
        done = run("tgtadm", "--socket", tgtd.ready["socket"], *words, cwd=elsewhere)
        assert said in done.stderr
        assert done.returncode in (status, 2)
    assert names(tgtd) == []


def test_a_plan_is_played(tgtd: Tgtd, elsewhere: Path) -> None:
    done = run("tgtadm", "--socket", tgtd.ready["socket"], "--json", "filter", "play", "p.toml", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line)["progress"] for line in done.stderr.splitlines()]
    assert [(one["plan"], one["done"], one["steps"], one["what"]) for one in told] == [
        ("p.toml", 1, 3, "add log"),
        ("p.toml", 2, 3, "add crash"),
        ("p.toml", 3, 3, "crash does crash"),
    ]
    assert [row["what"] for row in json.loads(done.stdout)][3:] == ["removed again: log", "removed again: crash"]
    assert (elsewhere / "data.jsonl").exists()
    assert names(tgtd) == []


def test_a_plan_is_shown_to_people(tgtd: Tgtd, elsewhere: Path) -> None:
    done = run("tgtadm", "--socket", tgtd.ready["socket"], "filter", "play", "p.toml", "--keep", cwd=elsewhere)
    first, _, last = done.stderr.splitlines()
    assert first.split() == [first.split()[0], "s", "step", "1", "of", "3", "data", "add", "log"]
    assert '"crashes"' in last or "lost" in last
    assert names(tgtd) == ["log", "crash"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_plan_ends_with_its_client(tgtd: Tgtd, elsewhere: Path, how: int) -> None:
    client = subprocess.Popen(
        [BIN / "tgtadm", "--socket", tgtd.ready["socket"], "filter", "play", "long.toml"],
        cwd=elsewhere,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stderr is not None
    try:
        until(lambda: names(tgtd) == ["log", "crash"])
        client.send_signal(how)
        said = client.communicate(timeout=WAIT_S)[1]
    finally:
        client.kill()
        client.wait(WAIT_S)
    until(lambda: names(tgtd) == [])
    if how == signal.SIGINT:
        assert "interrupted; the daemon ends the plan and removes what it has added" in said


def test_a_plan_ends_with_the_daemon(tgtd: Tgtd, elsewhere: Path) -> None:
    words = [BIN / "tgtadm", "--socket", tgtd.ready["socket"], "filter", "play", "long.toml"]
    with subprocess.Popen(words, cwd=elsewhere, stderr=subprocess.PIPE, text=True) as client:
        until(lambda: names(tgtd) == ["log", "crash"])
        assert tgtd.stop() == 0
        assert client.wait(WAIT_S) != 0
    assert [word for word in ("WARNING", "ERROR", "Traceback") if word in tgtd.log] == []
    assert tgtd.log.count("plan long.toml has ended with the daemon") == 1
