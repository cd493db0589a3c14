"""The how-to guide on faults: everything that it tells its reader to do is done, in order, and QEMU sees the disk fail."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from oracle.how_to import OURS, steps, typed
from support.process import Tgtd

pytestmark = pytest.mark.oracle


class _Reader:
    """Reads and writes with QEMU."""

    def __init__(self, tgtd: Tgtd, folder: Path) -> None:
        self.url = tgtd.ready["urls"][0]
        self._folder = folder

    def io(self, *commands: str, status: int = 0) -> str:
        words = " ".join(f"-c {shlex.quote(command)}" for command in commands)
        done = typed(f"qemu-io -f raw {words} {self.url}", self._folder, status)
        return done.stdout + done.stderr


def test_everything_works_in_the_order_of_the_page(tmp_path: Path) -> None:
    said: dict[str, subprocess.CompletedProcess[str]] = {}
    files: dict[str, str] = {}
    lines: list[str] = []
    for file, text in steps("faults.md"):
        if file:
            files[file] = text
        else:
            lines.append(text)
    (tmp_path / "tgtd.toml").write_text(OURS + files["tgtd.toml"])
    (tmp_path / "faults.toml").write_text(files["faults.toml"])
    assert lines[0] == "tgtd --config tgtd.toml"
    with Tgtd("--config", "tgtd.toml", "--json", cwd=tmp_path) as tgtd:
        disk = _Reader(tgtd, tmp_path)
        for line in lines[1:]:
            said[line] = typed(line, tmp_path)
            if " filter add disk0 error " in line:
                assert "read failed: Input/output error" in disk.io("read 0 4k", status=1)
                assert "read 4096/4096 bytes" in disk.io("read 64k 4k")
            if line.endswith(" filter add disk0 crash"):
                disk.io("write -P 7 128k 4k")
        assert "POWER" not in tgtd.log
        left = typed("tgtadm filter list --json", tmp_path).stdout
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
