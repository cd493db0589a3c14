"""A how-to page step by step: the files that it has its reader write, and the lines that it has them type."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.process import BIN

OURS = """daemon = { socket = "tgtd.sock", state_directory = "state" }
transports.iscsi.portals = [{ address = "127.0.0.1:0" }]
"""
"""What a reader's daemon has by default, where a test can have it: to be put before a configuration of the page."""

_FOLDER = Path(__file__).parents[2] / "docs" / "how-to"
_STEP = re.compile(r"`(?P<file>\w+\.toml)`:\n\n```toml\n(?P<toml>.*?)^```|```console\n(?P<lines>.*?)^```", re.M | re.S)


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Files to write, with their text; and lines to type, with no name.

    :param page: the name of its file.
    """
    for found in _STEP.finditer((_FOLDER / page).read_text()):
        if found["file"]:
            yield found["file"], found["toml"]
        else:
            for line in found["lines"].splitlines():
                yield "", line.removeprefix("$ ")


def typed(line: str, folder: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a line to its end, in a folder with such a daemon.

    :param status: what it must end with.
    """
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
