"""QEMU's storage daemon with one qcow2 image, exported by NBD: the peer of the qcow2 benchmarks."""

import subprocess
import time
from pathlib import Path
from typing import Self

_START_S = 20
_EXPORT = "disk"


class StorageDaemon:
    """One daemon process; use it as a context manager."""

    def __init__(self, work: Path, image: Path) -> None:
        self._socket = work / f"nbd-{time.monotonic_ns()}.sock"
        self.url = f"nbd+unix:///{_EXPORT}?socket={self._socket}"
        self.process = subprocess.Popen(
            [
                "qemu-storage-daemon",
                "--blockdev", f"driver=file,node-name=file,filename={image}",
                "--blockdev", "driver=qcow2,node-name=image,file=file",
                "--nbd-server", f"addr.type=unix,addr.path={self._socket}",
                "--export", f"type=nbd,id=export,node-name=image,writable=on,name={_EXPORT}",
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.pids = [self.process.pid]
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("qemu-storage-daemon does not answer")
            time.sleep(0.05)

    def _answers(self) -> bool:
        asked = subprocess.run(
            ["qemu-img", "info", "-f", "raw", self.url], capture_output=True, check=False, timeout=20
        )
        return not asked.returncode

    def kill(self) -> None:
        """End the daemon; what it was told to flush is in the image."""
        self.process.terminate()
        self.process.wait(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
