"""tgtd and tgtadm as processes, with every wait bounded."""

import json
import os
import selectors
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from click.testing import CliRunner, Result

from tgtcore.cli.tgtadm import main as tgtadm
from tgtcore.management.protocol import Code
from tgtcore.testing.waiting import until

BIN = Path(sys.executable).parent
_WAIT_S = 20


def run(program: str, *arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> Any:
    """Run a program to its end."""
    return subprocess.run(
        [BIN / program, *arguments],
        capture_output=True,
        text=True,
        timeout=_WAIT_S,
        check=False,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )


class Tgtd:
    """A tgtd that is ready; at the end it is stopped, and killed if it does not."""

    def __init__(
        self,
        *arguments: str | Path,
        cwd: Path,
        env: dict[str, str] | None = None,
        under: tuple[str | Path, ...] = (),
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        """`under`: a command that becomes the daemon, put before it."""
        self._log = cwd / "tgtd.log"
        with self._log.open("w") as errors:
            self.process = subprocess.Popen(
                [*under, BIN / "tgtd", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                pass_fds=pass_fds,
            )
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(_WAIT_S) else ""
        if not line:
            self._end()
            raise AssertionError(f"tgtd did not get ready: {self.log}")
        self.ready: dict[str, Any] = json.loads(line)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def admin(self, *words: str | Path, status: int = 0) -> Any:
        """What tgtadm says as JSON; it runs in this process, which takes a tenth of the time of one of its own."""
        done = self._admin(*words)
        assert done.exit_code == status, done.output
        return json.loads(done.stdout)

    def _admin(self, *words: str | Path) -> Result:
        command = ["--socket", self.ready["socket"], *map(str, words), "--json"]
        return CliRunner().invoke(tgtadm, command, prog_name="tgtadm", catch_exceptions=False)

    def wait_serving(self) -> None:
        """Until it can be managed: some moments before that a daemon serves initiators already, and says that it is starting."""
        until(lambda: self._admin("stat").exit_code != Code.BUSY.exit_status, what=lambda: self.log)

    def wait_log(self, *words: str) -> None:
        """Until it has logged one of these."""
        until(lambda: any(each in self.log for each in words), what=lambda: self.log)

    def stop(self, signal_number: int = 15) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(_WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self._end()

    def _end(self) -> None:
        try:
            self.process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_WAIT_S)
            raise
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()
