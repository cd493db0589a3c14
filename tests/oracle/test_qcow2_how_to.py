"""The how-to guide on qcow2 images: everything that it tells its reader to do is done, in order."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.process import BIN, Tgtd

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "qcow2.md"
_STEP = re.compile(r"`(?P<file>\w+\.toml)`:\n\n```toml\n(?P<toml>.*?)^```|```console\n(?P<lines>.*?)^```", re.M | re.S)
_OURS = """daemon = { socket = "tgtd.sock", state_directory = "state" }
transports.iscsi.portals = [{ address = "127.0.0.1:0" }]
"""

pytestmark = pytest.mark.oracle


def _steps() -> Iterator[tuple[str, str]]:
    """Files to write, with their text; and lines to type, with no name."""
    for found in _STEP.finditer(PAGE.read_text()):
        if found["file"]:
            yield found["file"], found["toml"]
        else:
            for line in found["lines"].splitlines():
                yield "", line.removeprefix("$ ")


def _run(line: str, folder: Path) -> str:
    program, *words = shlex.split(line)
    here = BIN / program
    done = subprocess.run(
        [here if here.exists() else program, *words],
        cwd=folder,
        env={**os.environ, "TGTCORE_SOCKET": str(folder / "tgtd.sock")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


def test_everything_works_in_the_order_of_the_page(tmp_path: Path) -> None:
    said: dict[str, str] = {}
    with ExitStack() as daemon:
        for file, text in _steps():
            if file:
                (tmp_path / file).write_text(_OURS + text)
                continue
            offline = " convert -O " in text or "rebase" in text
            if text.startswith("tgtd ") or offline:
                daemon.close()
            if text.startswith("tgtd "):
                daemon.enter_context(Tgtd(*shlex.split(text)[1:], "--json", cwd=tmp_path))
            else:
                said[text] = _run(text, tmp_path)
    assert "No errors were found" in said["qemu-img check -U data.qcow2"]
    assert "for-the-copy" in said["qemu-img snapshot -U -l data.qcow2"]
    assert (tmp_path / "copy.raw").stat().st_size == 10 << 30
    assert "image: golden.qcow2" in said["qemu-img info -U --backing-chain alice.qcow2"]
    assert "backing file" not in _run("qemu-img info alice.qcow2", tmp_path)
