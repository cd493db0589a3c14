"""The guides for authors: what they write is extracted, installed with pip, tested by its own tests, and served."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.installed import installed
from support.process import Tgtd, run

GUIDES = Path(__file__).parent.parent / "docs" / "guides"
NAMES = ["chunks", "hiccup", "lines", "mailbox"]
PAGE = {"chunks": "store.md", "hiccup": "filter.md", "lines": "transport.md", "mailbox": "device-type.md"}


def files_of(page: str) -> dict[str, str]:
    """Every file that a page writes: a line that ends with its name and a colon, then a fence."""
    text = (GUIDES / page).read_text()
    found = re.findall(r"`([\w.]+\.(?:py|toml))`:\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return dict(found)


class Guide:
    """A guide that was followed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / "written"
        self.folder.mkdir()
        for file, text in files_of(PAGE[name]).items():
            (self.folder / file).write_text(text)
        self.env = installed(self.folder, folder)


@pytest.fixture(scope="module", params=NAMES)
def guide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Guide:
    return Guide(request.param, tmp_path_factory.mktemp(request.param))


def test_its_plugin_is_found_and_fits(guide: Guide) -> None:
    done = run("tgtd", "--check", f"{guide.name}.toml", env=guide.env, cwd=guide.folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{guide.name}.toml: no problems (1 target, 1 logical unit)\n"


def test_its_own_tests_pass(guide: Guide) -> None:
    tests = sorted(guide.folder.glob("test_*.py"))
    assert tests
    words = ["-q", "-p", "no:cacheprovider", "-W", "ignore", "--rootdir", guide.folder, *tests]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        cwd=guide.folder,
        env={**os.environ, **guide.env},
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d{2} passed", done.stdout)


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_it_is_served(guide: Guide, isolation: str, tmp_path: Path) -> None:
    private = 'daemon = { socket = "tgtd.sock", state_directory = "state" }\n'
    transport = "lines" if guide.name == "lines" else "iscsi"
    private += f'transports.{transport}.isolation = "{isolation}"\n'
    if guide.name != "lines":
        private += 'transports.iscsi.portals = [{ address = "127.0.0.1:0" }]\n'
    (tmp_path / "c.toml").write_text(private + (guide.folder / f"{guide.name}.toml").read_text())
    with Tgtd("--config", "c.toml", "--json", cwd=tmp_path, env=guide.env) as tgtd:
        (url,) = tgtd.ready["urls"]
        if guide.name == "lines":
            done = subprocess.run(
                [sys.executable, guide.folder / "talk.py", url], capture_output=True, text=True, timeout=20, check=False
            )
            shown = re.findall(r"^\$ python talk.py .*?\n(.*?)^```", (GUIDES / "transport.md").read_text(), re.M | re.S)
            assert [done.stdout] == shown, done.stderr
        assert tgtd.stop() == 0, tgtd.log
