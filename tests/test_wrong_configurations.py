"""Wrong configurations, as their users meet them: one clear message each, a non-zero exit, and nothing left behind."""

import ctypes
import os
import re
import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.process import BIN, Tgtd, run

from tgtcore.cli.tgtd import main as tgtd

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
_MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.img").write_bytes(bytes(_MIB))
    (tmp_path / "c.toml").write_text(GOOD)
    return tmp_path


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def without_privileges() -> None:
    """In the child: root obeys file permissions as everybody else does."""
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def without_large_files() -> None:
    """In the child: what a full disk is to somebody who makes a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MIB, _MIB))


def refused(folder: Path, *words: str | Path, status: int = 2, **options: Any) -> str:
    """Run tgtd, which must fail, and return its only message."""
    (message,) = all_refused(folder, *words, status=status, **options)
    return message


def all_refused(folder: Path, *words: str | Path, status: int = 2, **options: Any) -> list[str]:
    """Run tgtd, which must fail, say nothing but what is wrong, and leave nothing behind."""
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
    assert done.returncode == status, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert all(line.startswith("tgtd: ") for line in lines), done.stderr
    assert contents(folder) == before
    return [line.removeprefix("tgtd: ") for line in lines]


PORTALS = "[transports.iscsi]"
PORTAL = '{ address = "127.0.0.1:0" }'
UNIT = "[logical_units.a]"
STORE = 'store = { type = "file", path = "a.img" }'
MISTAKES = {
    "an unknown key": (
        PORTALS,
        f"{PORTALS}\nportalz = 1",
        'c.toml:7: transports.iscsi.portalz: unknown key; did you mean "portals"? (expected one of: ',
    ),
    "an unknown table": ("[daemon]", "[deamon]", 'c.toml:3: deamon: unknown key; did you mean "daemon"?'),
    "an unknown key of a plugin": (
        STORE,
        STORE.replace("path", "sise = 1, path"),
        'c.toml:10: logical_units.a.store.sise: unknown key; did you mean "size"? (expected one of: create, path, ',
    ),
    "an unknown store": (
        '"file", path',
        '"flie", path',
        'c.toml:10: logical_units.a.store.type: there is no store called "flie"; did you mean "file"? (expected one of: ',
    ),
    "a duplicate LUN": (
        '{ 0 = "a" }',
        '{ 0 = "a", 00 = "a" }',
        f'c.toml:13: targets."{TARGET}".luns.00: LUN 0 is "a" already',
    ),
    "a LUN of nothing": (
        '{ 0 = "a" }',
        '["b"]',
        f'c.toml:13: targets."{TARGET}".luns[0]: there is no logical unit called "b" (expected one of: a)',
    ),
    "a bad name": (
        TARGET,
        "iqn.bad",
        "c.toml:11: targets.\"iqn.bad\": name 'iqn.bad' is not of the form iqn.YYYY-MM.reversed.domain[:text]",
    ),
    "a target in other letters": (
        f'[targets."{TARGET}"]',
        f'[targets."{TARGET.upper()}"]\ntransport = "iscsi"\n[targets."{TARGET}"]',
        f'c.toml:13: targets."{TARGET}": is the same name as "{TARGET.upper()}"',
    ),
    "a target twice": (
        f'[targets."{TARGET}"]',
        f'[targets."{TARGET}"]\n[targets."{TARGET}"]',
        f'c.toml:12: not TOML: the table targets."{TARGET}" is there already',
    ),
    "a portal twice": (
        PORTAL,
        '{ address = "127.0.0.1" }, { address = "127.0.0.1:3260" }',
        "c.toml:7: transports.iscsi.portals[1]: portal 127.0.0.1:3260 is there already; name it once",
    ),
    "a portal that is no table": (
        PORTAL,
        '"127.0.0.1:0"',
        'c.toml:7: transports.iscsi.portals[0]: expected a table, got "127.0.0.1:0"',
    ),
    "a port that can not be": (
        ":0",
        ":99999",
        "c.toml:7: transports.iscsi.portals[0].address: address '127.0.0.1:99999': ",
    ),
    "a block size that does not exist": (
        UNIT,
        f"{UNIT}\nblock_size = 100",
        "c.toml:9: logical_units.a.block_size: expected 512 or 4096, got 100",
    ),
    "a size that is none": (
        STORE,
        STORE.replace("a.img", 'b.img", create = true, size = "1X'),
        "c.toml:10: logical_units.a.store.size: '1X' is not a size; expected bytes or a number with a unit",
    ),
    "an account that is not there": (
        "allow =",
        'auth = ["nobody"]\nallow =',
        f'c.toml:14: targets."{TARGET}".auth: there is no account called "nobody" (expected a table [accounts.nobody])',
    ),
    "a portal group that is not there": (
        "allow =",
        "portal_groups = [7]\nallow =",
        f'c.toml:14: targets."{TARGET}".portal_groups: no portal is in group 7 (expected one of: 1)',
    ),
    "a secret in the file": (
        UNIT,
        f'[accounts.al]\nsecret = "hush"\n{UNIT}',
        "c.toml:8: accounts.al: secret: a secret does not belong in a configuration; use secret_file or secret_env",
    ),
    "text without quotes": (
        'transport = "iscsi"',
        "transport = iscsi",
        'c.toml:12: not TOML: expected a value, such as "text", 5, true or ["a", "b"] (column 13)',
    ),
    "no plugins": ("plugins", "#", 'c.toml:1: the key "plugins" is missing: name the plugins to enable, such as '),
}


MISTAKES_MET_WHEN_SERVING = {
    "an address of somebody else": (
        "127.0.0.1:0",
        "203.0.113.7:3260",
        "transport iscsi: portal 203.0.113.7:3260: cannot assign requested address",
    ),
    "a secret that others may read": (
        UNIT,
        f'[accounts.al]\nsecret_file = "c.toml"\n{UNIT}',
        "c.toml: others may read it (mode 0644); expected 0600, try: chmod 600 ",
    ),
    "a path that is too long for a socket": (
        "run/tgtd.sock",
        f"{'x' * 100}.sock",
        ".sock: the path has ",
    ),
    "an image of an odd size": (
        "a.img",
        "odd.img",
        "odd.img): its size is 1000 bytes, expected a multiple of block_size (512)",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_clear_message(
    folder: Path, old: str, new: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a check in this process; what is said is the same before the daemon serves, as some show below."""
    assert old in GOOD
    (folder / "c.toml").write_text(GOOD.replace(old, new, 1))
    monkeypatch.chdir(folder)
    before = contents(folder)
    done = CliRunner().invoke(tgtd, ["--check", "c.toml"], prog_name="tgtd", catch_exceptions=False)
    (said,) = done.stderr.splitlines()
    assert (done.exit_code, done.stdout) == (2, "")
    assert said.startswith("tgtd: ")
    assert message in said
    assert "hush" not in said
    assert contents(folder) == before


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES_MET_WHEN_SERVING.values(), ids=MISTAKES_MET_WHEN_SERVING)
def test_a_mistake_that_serving_meets_is_one_clear_message(folder: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    (folder / "odd.img").write_bytes(bytes(1000))
    (folder / "c.toml").write_text(GOOD.replace(old, new, 1))
    assert message in refused(folder)


STORES = {
    "a store that is not there": (
        "b.img",
        "b.img: no such file; expected an image or create = true with a size, such as",
    ),
    "a store that is empty": (
        "empty.img",
        "empty.img is empty; expected an image of the size that the disk shall have",
    ),
    "a store that is a folder": (".", "is a directory; expected a file or a block device"),
    "a store in a folder that is not there": (
        'none/b.img", create = true, size = "1M',
        "none/b.img can't be made: its folder does not exist",
    ),
}


@pytest.mark.parametrize(("path", "message"), STORES.values(), ids=STORES)
def test_a_store_that_can_not_be_opened(folder: Path, path: str, message: str) -> None:
    (folder / "empty.img").touch()
    (folder / "c.toml").write_text(GOOD.replace("a.img", path))
    said = refused(folder, status=1)
    assert said.startswith(f"logical unit a: store file: {folder}")
    assert message in said


def test_all_mistakes_are_shown_at_once_in_the_order_of_the_file(folder: Path) -> None:
    text = (
        GOOD.replace("portals =", "portalz =").replace('type = "file"', 'type = "flie"').replace('0 = "a"', '0 = "b"')
    )
    (folder / "c.toml").write_text(text)
    said = all_refused(folder)
    assert [line.split(": ")[0] for line in said] == ["c.toml:7", "c.toml:10", "c.toml:13"]
    assert all_refused(folder, "--check", "c.toml") == said


def test_plugins_that_are_not_installed(folder: Path) -> None:
    (folder / "c.toml").write_text(GOOD.replace('"disk", "file"]', '"dsik", "quantum"]'))
    disk, quantum = all_refused(folder, status=3)
    assert disk.startswith('c.toml:2: plugins: no installed plugin is called "dsik"; did you mean "disk"? (installed: ')
    assert '"quantum"; try: pip install tgtcore-quantum' in quantum


def test_a_file_that_is_not_there(folder: Path) -> None:
    assert refused(folder, "--config", "none.toml") == "none.toml: no such file or directory"
    assert refused(folder, "--check", "none.toml") == "none.toml: no such file or directory"


def test_check_approves_of_a_good_file_without_serving(folder: Path) -> None:
    before = contents(folder)
    done = run("tgtd", "--check", "c.toml", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "c.toml: no problems (1 target, 1 logical unit)\n", "")
    assert contents(folder) == before


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_leaves_no_new_image(folder: Path, taken: int) -> None:
    made = GOOD.replace("127.0.0.1:0", f"127.0.0.1:{taken}").replace("a.img", 'new.img", create = true, size = "1M')
    (folder / "c.toml").write_text(made)
    assert refused(folder) == f"transport iscsi: portal 127.0.0.1:{taken}: address already in use"


def test_an_image_that_another_daemon_serves(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("other")
    with Tgtd("serve", folder / "a.img", "--portal", "127.0.0.1:0", "--json", cwd=elsewhere) as other:
        message = refused(folder, "serve", "a.img", "--portal", "127.0.0.1:0", status=1)
        assert f"a.img is locked by process {other.process.pid} (tgtd); expected to have it alone" in message
        assert other.stop() == 0


@pytest.mark.parametrize(("name", "status"), [("a.img", 1), ("c.toml", 2)])
def test_a_file_that_may_not_be_read(folder: Path, name: str, status: int) -> None:
    (folder / name).chmod(0)
    message = refused(folder, status=status, preexec_fn=without_privileges)
    assert name in message
    assert "permission denied" in message


FOLDERS = {
    "of the socket": (
        "run/tgtd.sock",
        "locked/tgtd.sock",
        2,
        "locked/tgtd.sock: permission denied; another place: the key ",
    ),
    "of the image": (
        "a.img",
        'locked/n.img", create = true, size = "1M',
        1,
        "can't be made: permission denied; expected a ",
    ),
    "of the state": (
        '"state"',
        '"locked/state"',
        2,
        "permission denied; give each logical unit (a) a unique_id, or the ",
    ),
}


@pytest.mark.parametrize(("old", "new", "status", "message"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_that_may_not_be_written_to(folder: Path, old: str, new: str, status: int, message: str) -> None:
    (folder / "locked").mkdir(mode=0o500)
    (folder / "c.toml").write_text(GOOD.replace(old, new))
    assert message in refused(folder, status=status, preexec_fn=without_privileges)


def test_no_room_for_a_new_image(folder: Path) -> None:
    words = ("serve", "new.img", "--size", "8M", "--thick", "--portal", "127.0.0.1:0")
    message = refused(folder, *words, status=1, preexec_fn=without_large_files)
    assert message.endswith("new.img can't be made: so large a file does not fit on its file system")


def test_a_socket_of_another_daemon(folder: Path) -> None:
    with Tgtd("--config", "c.toml", "--json", cwd=folder) as first:
        (folder / "d.toml").write_text(GOOD.replace("a.img", "b.img"))
        message = refused(folder, "--config", "d.toml")
        assert message == f"management socket {folder}/run/tgtd.sock: another tgtd is using it"
        assert first.admin("lu", "list")[0]["name"] == "a"
        assert first.stop() == 0


@pytest.mark.parametrize(
    ("name", "message"), [("run/tgtd.sock", "a file of that name which is no socket"), ("state", "state")]
)
def test_a_file_in_the_way(folder: Path, name: str, message: str) -> None:
    (folder / "run").mkdir()
    (folder / name).write_text("in the way")
    assert message in refused(folder)
    assert (folder / name).read_text() == "in the way"


SERVED = {
    "no size": (("new.img",), 2, r"new.img: there is no such file; to make it, say how large: --size 1G"),
    "a size that is none": (("new.img", "--size", "1X"), 2, r"--size 1X: '1X' is not a size; expected .*"),
    "an odd size": (
        ("new.img", "--size", "1000"),
        2,
        r".*new.img\): its size is 1000 bytes, expected a multiple of .*",
    ),
    "a second image that can't be": (
        ("new.img", "none/b.img", "--size", "1M"),
        1,
        r".*none/b.img can't be made: its folder .*",
    ),
    "one image twice": (("a.img", "a.img"), 2, r"a.img: .*a.img is the store of logical unit \"disk0\" too; .*"),
    "a bad name": (("a.img", "--target", "foo"), 2, r"--target foo: name 'foo' is not of the form .*"),
    "a bad portal": (
        ("a.img", "--portal", "127.0.0.1:x"),
        2,
        r"--portal 127.0.0.1:x: address .*: port 'x', expected .*",
    ),
    "an open portal": (
        ("a.img", "--portal", "0.0.0.0:0"),
        2,
        r"--portal 0.0.0.0:0: others could reach it; say who may: .*",
    ),
    "no chap file": (("a.img", "--chap-file", "none"), 2, r"--chap-file none: no such file or directory"),
    "an open chap file": (
        ("a.img", "--chap-file", "c.toml"),
        2,
        r"--chap-file c.toml: others may read it \(mode 0644\); .*",
    ),
}


@pytest.mark.parametrize(("words", "status", "message"), SERVED.values(), ids=SERVED)
def test_serve_answers_in_the_words_of_its_command_line(
    folder: Path, words: tuple[str, ...], status: int, message: str
) -> None:
    portal = () if "--portal" in words else ("--portal", "127.0.0.1:0")
    before = os.listdir(folder)
    said = refused(folder, "serve", *words, *portal, status=status)
    assert re.fullmatch(message, said), said
    assert os.listdir(folder) == before
