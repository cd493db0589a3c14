"""tgtadm against a daemon that serves a memory store over the real transport."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.process import Tgtd, run

CONFIG = """
plugins = ["iscsi", "disk", "file"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
drain_s = 1
[transports.iscsi]
portals = [{ address = "127.0.0.1:0" }]
[logical_units.a]
device_type = "disk"
store = { type = "memory", size = "8M" }
[targets."iqn.2025-01.example:a"]
transport = "iscsi"
luns = ["a"]
allow = { initiators = ["*"] }
"""
TARGET = "iqn.2025-01.example:a"


@pytest.fixture(scope="module")
def tgtd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tgtd]:
    folder = tmp_path_factory.mktemp("tgtadm")
    (folder / "c.toml").write_text(CONFIG)
    with Tgtd("--config", "c.toml", "--json", cwd=folder) as daemon:
        yield daemon
        assert daemon.stop() == 0, daemon.log


def socket_of(tgtd: Tgtd) -> list[str]:
    return ["--socket", tgtd.ready["socket"]]


def test_a_configuration_file_is_served(tgtd: Tgtd) -> None:
    (url,) = tgtd.ready["urls"]
    assert url.startswith("iscsi://127.0.0.1:")
    assert url.endswith(f"/{TARGET}/0")
    assert Path(tgtd.ready["socket"]).name == "tgtd.sock"


def test_tables_and_json_tell_the_same(tgtd: Tgtd) -> None:
    table = run("tgtadm", *socket_of(tgtd), "lu", "list")
    assert table.returncode == 0
    assert "8.00 MiB" in table.stdout
    for words in (["--json", *socket_of(tgtd), "lu", "list"], [*socket_of(tgtd), "lu", "list", "--json"]):
        (row,) = json.loads(run("tgtadm", *words).stdout)
        assert (row["name"], row["size_bytes"]) == ("a", 8 << 20)


def test_a_whole_life_of_a_disk(tgtd: Tgtd, tmp_path: Path) -> None:
    name = "iqn.2025-01.example:b"
    tgtd.admin(
        "lu", "add", "b", "store.type=file", f"store.path={tmp_path / 'b.img'}", "store.size=1M", "store.create=true"
    )
    assert (tmp_path / "b.img").stat().st_size == 1 << 20
    tgtd.admin("target", "add", name, "--allow", "iqn.*")
    tgtd.admin("lun", "add", name, "3", "b")
    assert tgtd.admin("lun", "list", "--target", name)[0]["lun"] == 3
    assert tgtd.admin("lu", "resize", "b", "2M")["size_bytes"] == 2 << 20
    assert (tmp_path / "b.img").stat().st_size == 2 << 20
    tgtd.admin("lun", "remove", name, "3")
    tgtd.admin("target", "remove", name)
    tgtd.admin("lu", "remove", "b")
    assert tgtd.admin("stat")["leases"] == []


def test_save_and_apply_go_round(tgtd: Tgtd, tmp_path: Path) -> None:
    path = tmp_path / "saved.toml"
    assert tgtd.admin("save", path) == {"saved": str(path)}
    assert tgtd.admin("apply", path) == []
    path.write_text(path.read_text().replace('initiators = ["*"]', 'initiators = ["iqn.*"]'))
    (change,) = tgtd.admin("apply", path, "--dry-run")
    assert (change["action"], change["kind"], change["detail"]) == ("change", "target", "allow")
    assert tgtd.admin("access", "show", TARGET) == {"initiators": ["*"], "addresses": []}
    assert tgtd.admin("apply", path) == [change]
    assert tgtd.admin("access", "show", TARGET) == {"initiators": ["iqn.*"], "addresses": []}
    text = run("tgtadm", *socket_of(tgtd), "save", "-").stdout
    assert text.startswith("plugins = ")
    assert tgtd.admin("save", "-") == {"configuration": text}


FAILURES = [
    (["lu", "show", "nothing"], 4, "not-found"),
    (["lu", "remove", "a"], 5, "busy"),
    (["lun", "add", TARGET, "0", "a"], 2, "config"),
    (["session", "remove", "77"], 4, "not-found"),
    (["run", "no", "such", "verb"], 4, "not-found"),
    (["acme", "show", "all=1"], 4, "not-found"),
    (["portal", "add", "203.0.113.1:1"], 2, "config"),
    (["lu", "add", "c", "store.type=nothing"], 2, "config"),
]


@pytest.mark.parametrize(("words", "status", "code"), FAILURES, ids=[" ".join(words) for words, _, _ in FAILURES])
def test_each_kind_of_failure_has_its_exit_status(tgtd: Tgtd, words: list[str], status: int, code: str) -> None:
    told = tgtd.admin(*words, status=status)
    assert told["error"]["code"] == code
    plain = run("tgtadm", *socket_of(tgtd), *words)
    assert plain.returncode == status
    assert plain.stderr.splitlines() == [f"tgtadm: {problem}" for problem in told["error"]["problems"]]


def test_no_daemon_and_wrong_usage_have_theirs(tmp_path: Path) -> None:
    assert run("tgtadm", "--socket", tmp_path / "none", "show").returncode == 6
    assert run("tgtadm", "shwo").returncode == 2
    assert run("tgtadm", "lun", "add").returncode == 2


def test_any_verb_can_be_run(tgtd: Tgtd) -> None:
    assert tgtd.admin("run", "lun", "list", f"target={TARGET}")[0]["unit"] == "a"


def test_shells_complete_verbs() -> None:
    words = {"COMP_WORDS": "tgtadm lu", "COMP_CWORD": "1", "_TGTADM_COMPLETE": "bash_complete"}
    completed = run("tgtadm", env=words).stdout
    assert {"plain,lu", "plain,lun"} <= set(completed.split())


def test_a_dry_run_shows_people_the_difference(tgtd: Tgtd, tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    saved = run("tgtadm", *socket_of(tgtd), "save", "-").stdout
    path.write_text(saved.replace("drain_s = 1", "drain_s = 2"))
    done = run("tgtadm", *socket_of(tgtd), "apply", path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "\n-drain_s = 1\n+drain_s = 2\n" in done.stdout
    assert done.stdout.endswith(run("tgtadm", *socket_of(tgtd), "diff", path).stdout)
    path.write_text(saved)
    assert run("tgtadm", *socket_of(tgtd), "apply", path, "--dry-run").stdout == "nothing\n"


def test_a_file_that_can_not_be_read_is_a_wrong_command_line(tgtd: Tgtd, tmp_path: Path) -> None:
    done = run("tgtadm", *socket_of(tgtd), "apply", tmp_path / "none.toml")
    assert (done.returncode, done.stderr) == (2, f"tgtadm: {tmp_path}/none.toml: no such file or directory\n")
