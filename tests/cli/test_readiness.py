"""What is said when everything is served."""

import json
import os
from pathlib import Path

import pytest
from daemon.conftest import Running, start

from tgtcore.cli.readiness import say_json, say_text

__all__ = ["start"]

pytestmark = pytest.mark.asyncio


async def test_programs_get_one_line(start: object, capsys: pytest.CaptureFixture[str]) -> None:
    running: Running = await start()  # type: ignore[operator]
    await say_json(running.daemon, Path("/run/x.sock"))
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["ready"], said["pid"], said["socket"]) == (True, os.getpid(), "/run/x.sock")
    assert said["urls"] == ["fake://one/t.one/0", "fake://one/t.one/1"]
    assert said["version"]


async def test_people_get_every_disk_with_its_size(start: object, capsys: pytest.CaptureFixture[str]) -> None:
    running: Running = await start()  # type: ignore[operator]
    await say_text(running.daemon, Path("/run/x.sock"))
    text = capsys.readouterr().out
    assert "a, 1.00 MiB: fake://one/t.one/0" in text
    assert "tgtadm --socket /run/x.sock show" in text
    assert "iscsiadm" not in text
