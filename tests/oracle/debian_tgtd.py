"""A private instance of Debian's tgtd (package tgt): the peer of the benchmarks, and a second target for self-tests."""

import itertools
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

_DAEMON = "/usr/sbin/tgtd"
_ADMIN = "/usr/sbin/tgtadm"
TARGET = "iqn.2025-01.example.debian:disk"
_controls = itertools.count(os.getpid() % 20000 + 100)


def free_port(host: str) -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])


class DebianTgtd:
    """One target, one LUN (1) on one image file; use it as a context manager."""

    def __init__(self, image: Path, host: str = "127.0.0.1") -> None:
        if not shutil.which(_DAEMON):
            raise FileNotFoundError(f"{_DAEMON} is not there (Debian package tgt)")
        self._control = str(next(_controls))
        self.portal = (host, free_port(host))
        self.url = f"iscsi://{host}:{self.portal[1]}/{TARGET}/1"
        started = time.monotonic()
        self.process = subprocess.Popen(
            [_DAEMON, "-f", "-C", self._control, "--iscsi", f"portal={host}:{self.portal[1]}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._wait_ready()
            self._admin("new", "target", "-T", TARGET)
            self._admin("new", "logicalunit", "--lun", "1", "-b", str(image))
            self._admin("bind", "target", "-I", "ALL")
        except BaseException:
            self.kill()
            raise
        self.ready_s = time.monotonic() - started
        self.pid = self.process.pid
        self.pids = [self.pid]

    def offer(self, key: str, value: str) -> None:
        """Set an iSCSI parameter of the target."""
        self._admin("update", "target", "-n", key, "-v", value)

    def kill(self) -> None:
        """End the daemon; it keeps nothing."""
        self.process.kill()
        self.process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                return self._admin("show", "sys")
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def _admin(self, operation: str, mode: str, *words: str) -> None:
        tid = () if mode == "sys" else ("--tid", "1")
        command = [_ADMIN, "-C", self._control, "--lld", "iscsi", "--op", operation, "--mode", mode, *tid, *words]
        subprocess.run(command, capture_output=True, check=True, timeout=20)
