"""Our daemon, run as its users run it: the installed tgtd and tgtadm, spoken to by their command lines only."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

_BIN = Path(sys.executable).parent
TARGET = "iqn.2025-01.example.tgtcore:disk"
_PLUGINS = ("iscsi", "disk", "file")
_PRIVATE = """
plugins = {plugins}

[daemon]
socket = "{socket}"
state_directory = "{state}"
"""
_DISK = """
[logical_units.disk]
device_type = "disk"
store = {store}

[transports.iscsi]
portals = [{portals}]

[targets."{target}"]
transport = "iscsi"
luns = ["disk"]
allow = {{ initiators = ["*"] }}
"""
_READY_S = 60
_STOP_S = 30


class Served:
    """One daemon process; use it as a context manager, which ends it by SIGTERM and wants exit status 0."""

    isolation: ClassVar[str] = "none"
    """Where transports run; a fixture of this name runs tests both ways."""

    def __init__(
        self,
        work: Path,
        *arguments: str | Path,
        under: Sequence[str | Path] = (),
        environment: Mapping[str, str] | None = None,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        """`under`: a command that becomes the daemon (strace -D, unshare), put before it; `wake`: what makes it do so."""
        self._work, self._arguments = work, arguments
        self._log = work / f"tgtd-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*under, _BIN / "tgtd", *arguments, "--json"],
                cwd=work,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        started = time.monotonic()
        try:
            wake()
            ready = json.loads(self._first_line())
        except BaseException:
            self.kill()
            raise
        self.ready_s = time.monotonic() - started
        self.pid: int = ready["pid"]
        self.urls: list[str] = ready["urls"]
        self.socket: str = ready["socket"]

    @classmethod
    def disk(
        cls,
        work: Path,
        *images: Path,
        options: tuple[str | Path, ...] = (),
        host: str = "127.0.0.1",
        under: Sequence[str | Path] = (),
    ) -> Self:
        """The ad-hoc form: one LUN for each image, on a free port of an address."""
        words = ("--portal", f"{host}:0", "--target", TARGET, "--isolation", cls.isolation)
        return cls(work, "serve", *images, *words, *options, under=under)

    @classmethod
    def configured(
        cls, work: Path, configuration: str, under: Sequence[str | Path] = (), plugins: Sequence[str] = ()
    ) -> Self:
        """A configuration without the key `plugins`, for more than the usual ones, and the table `daemon`, which are given here."""
        path = work / f"tgtd-{time.monotonic_ns()}.toml"
        private = _PRIVATE.format(
            plugins=[*_PLUGINS, *plugins], socket=path.with_suffix(".socket"), state=work / "state"
        )
        path.write_text(private + cls.with_isolation(configuration))
        return cls(work, "--config", path, under=under)

    @classmethod
    def qcow2(cls, work: Path, image: Path, *, size: str = "", host: str = "127.0.0.1", portals: int = 1) -> Self:
        """One LUN on a qcow2 image, which is made if a size is given, on free ports of an address."""
        made, base_made = (f', create = true, size = "{size}"', ', create = true, size = "1M"') if size else ("", "")
        store = f'{{ type = "qcow2"{made}, base = {{ type = "file", path = "{image}"{base_made} }} }}'
        return cls._on(work, store, host, portals)

    @classmethod
    def overlay(cls, work: Path, golden: Path, *, data: str) -> Self:
        """One LUN on an overlay over an image that is there, through two portals."""
        store = f'{{ type = "overlay", data = "{data}", base = {{ type = "file", path = "{golden}" }} }}'
        return cls._on(work, store, "127.0.0.1", 2)

    @classmethod
    def _on(cls, work: Path, store: str, host: str, portals: int) -> Self:
        addresses = ", ".join([f'{{ address = "{host}:0" }}'] * portals)
        return cls.configured(work, _DISK.format(store=store, portals=addresses, target=TARGET), plugins=("cow",))

    @classmethod
    def with_isolation(cls, configuration: str) -> str:
        """A configuration whose iSCSI transport, if it is spoken of, runs where this class says."""
        table = "[transports.iscsi]\n"
        return configuration.replace(table, f'{table}isolation = "{cls.isolation}"\n')

    def successor(self) -> Self:
        """A daemon that has taken the place of this one, which was :meth:`configured`."""
        return type(self)(self._work, *self._arguments, "--take-over")

    @property
    def configuration(self) -> Path:
        """The configuration file of a daemon that was :meth:`configured`."""
        return Path(self._arguments[self._arguments.index("--config") + 1])

    @property
    def url(self) -> str:
        """The address of the first LUN."""
        return self.urls[0]

    @property
    def pids(self) -> list[int]:
        """The daemon and its driver processes."""
        processes = [one.get("process", {}) for one in self.admin("stat")["transports"].values()]
        return [self.pid, *(one["pid"] for one in processes if one.get("pid"))]

    @property
    def portal(self) -> tuple[str, int]:
        """Address and port of the first portal."""
        return portal_of(self.url)

    @property
    def log(self) -> str:
        """What the daemon wrote to its standard error."""
        return self._log.read_text(errors="replace")

    @staticmethod
    def logs(work: Path) -> str:
        """The same of every daemon of a folder, in the order in which they were started."""
        return "".join(f"{log.name}:\n{log.read_text(errors='replace')}\n" for log in sorted(work.glob("tgtd-*.log")))

    def admin(self, *words: str) -> Any:
        """The answer of a management verb; AssertionError with its message where it fails."""
        done = subprocess.run(
            [_BIN / "tgtadm", "--socket", self.socket, *words, "--json"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"tgtadm {' '.join(words)}: exit status {done.returncode}: {done.stderr}"
        return json.loads(done.stdout)

    def stop(self) -> int:
        """Ask the daemon to end and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_S)

    def kill(self) -> None:
        """End the daemon as a power cut would."""
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ended = self.process.poll()
        try:
            status = self.stop() if ended is None else ended
        finally:
            self.kill()
            if kind is not None:
                fate = "served to the end" if ended is None else f"had ended before with status {ended}"
                print(f"tgtd {fate}; its log:", self.log[-20000:], sep="\n")
        if kind is None:
            assert status == 0, f"tgtd ended with status {status}: {self.log[-3000:]}"
            before, traceback, after = self.log.partition("Traceback")
            assert not traceback, f"{before[-1000:]}{traceback}{after[:5000]}"

    def _first_line(self) -> bytes:
        output = self.process.stdout
        assert output
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            readable = selector.select(_READY_S)
        line = output.readline() if readable else b""
        if not line:
            raise AssertionError(f"tgtd did not get ready in {_READY_S} s: {self.log[-3000:]}")
        return line


def portal_of(url: str) -> tuple[str, int]:
    """Address and port in an iscsi:// URL."""
    parts = urlsplit(url)
    assert parts.hostname, url
    assert parts.port, url
    return parts.hostname, parts.port
