"""The how-to guide on faults: everything that it tells its reader to do is done, in order, and QEMU sees the disk fail."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.process import BIN, Tgtd

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "faults.md"
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


def _run(line: str, folder: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
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
    assert done.returncode == status, f"{line}: {done.stdout}{done.stderr}"
    return done


class _Reader:
    """Reads and writes with QEMU."""

    def __init__(self, tgtd: Tgtd, folder: Path) -> None:
        self.url = tgtd.ready["urls"][0]
        self._folder = folder

    def io(self, *commands: str, status: int = 0) -> str:
        words = " ".join(f"-c {shlex.quote(command)}" for command in commands)
        done = _run(f"qemu-io -f raw {words} {self.url}", self._folder, status)
        return done.stdout + done.stderr


def test_everything_works_in_the_order_of_the_page(tmp_path: Path) -> None:
    said: dict[str, subprocess.CompletedProcess[str]] = {}
    files: dict[str, str] = {}
    lines: list[str] = []
    for file, text in _steps():
        if file:
            files[file] = text
        else:
            lines.append(text)
    (tmp_path / "tgtd.toml").write_text(_OURS + files["tgtd.toml"])
    (tmp_path / "faults.toml").write_text(files["faults.toml"])
    assert lines[0] == "tgtd --config tgtd.toml"
    with Tgtd("--config", "tgtd.toml", "--json", cwd=tmp_path) as tgtd:
        disk = _Reader(tgtd, tmp_path)
        for line in lines[1:]:
            said[line] = _run(line, tmp_path)
            if " filter add disk0 error " in line:
                assert "read failed: Input/output error" in disk.io("read 0 4k", status=1)
                assert "read 4096/4096 bytes" in disk.io("read 64k 4k")
            if line.endswith(" filter add disk0 crash"):
                disk.io("write -P 7 128k 4k")
        assert "POWER" not in tgtd.log
        left = _run("tgtadm filter list --json", tmp_path).stdout
    shown = said["tgtadm filter show disk0 bad"].stdout
    assert re.search(r"chosen: [1-9]", shown), shown
    assert "unflushed_bytes" in said["tgtadm filter show disk0 crash"].stdout
    cut = said["tgtadm filter do disk0 crash crash keep=some seed=3"].stdout
    assert "paused_ms" in cut.replace(" ", "_"), cut
    played = said["tgtadm filter play faults.toml"]
    told = [line for line in played.stderr.splitlines() if " step " in line]
    assert len(told) == 7
    assert "step 7 of 7" in told[-1]
    for name in ("slow", "crash"):
        assert f"removed again: {name}" in played.stdout
    assert "removed again: bad" not in played.stdout
    assert left.strip() == "[]"
