"""Serve a disk, use it as an initiator would, and go on serving it: what ``make demo`` runs.

The daemon is the real one, started as anybody would start it; the initiator is the small one of tgtcore-iscsi.
"""

import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import Client

INITIATOR = "iqn.2026-11.org.example:demo"
CHUNK_BYTES = 1024 * 1024
BLOCK_BYTES = 512
DISK_BYTES = 1024 * CHUNK_BYTES
TEST_BYTES = int(os.environ.get("TGTCORE_DEMO_MIB", "256")) * CHUNK_BYTES
STEP_BYTES = DISK_BYTES // TEST_BYTES * CHUNK_BYTES
"""The written chunks are spread over the whole disk."""

console = Console()


class Signals:
    """Ctrl-C and its like, which are noted when they come and heeded when somebody looks, so that no moment is a bad one.

    An exception out of a signal handler would not do: what comes just before waitpid() starts would be slept over, and what
    comes while the daemon is being stopped would leave it alone.
    """

    def __init__(self) -> None:
        self._noted, self._note = socket.socketpair()
        self._note.setblocking(False)
        signal.set_wakeup_fd(self._note.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: None)

    def wait(self, fd: int) -> None:
        """Wait until a file descriptor is ready.

        :raises KeyboardInterrupt: a signal has come, now or before.
        """
        select.select([self._noted, fd], [], [])
        self.heed()

    def heed(self) -> None:
        """Go on only if no signal has come.

        :raises KeyboardInterrupt: one has.
        """
        if select.select([self._noted], [], [], 0)[0]:
            raise KeyboardInterrupt


def cdb_10(opcode: int, offset: int, length: int) -> bytes:
    lba, blocks = offset // BLOCK_BYTES, length // BLOCK_BYTES
    return bytes((opcode, 0)) + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"


def start(folder: Path) -> "subprocess.Popen[str]":
    tgtd = Path(sysconfig.get_path("scripts"), "tgtd")
    command = [str(tgtd), "serve", str(folder / "disk.img"), "--size", "1G", "--portal", "127.0.0.1:0", "--json"]
    # in a session of its own, where Ctrl-C does not reach it, nor while it gets there: we stop it in order
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def readiness(daemon: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the daemon says when it is ready; before that it could be killed, but not stopped in order."""
    assert daemon.stdout is not None
    line = daemon.stdout.readline()
    if not line:
        sys.exit(f"tgtd has ended with exit status {daemon.wait()}")
    ready: dict[str, Any] = json.loads(line)
    return ready


def expect_good(what: str, outcome: Any) -> bytes:
    if outcome.status:
        sys.exit(f"{what} ended with status {outcome.status:02X}h, sense data {outcome.sense.hex()}")
    return bytes(outcome.data)


def pattern(number: int) -> bytes:
    seed = hashlib.sha256(number.to_bytes(4, "big")).digest()
    return hashlib.shake_128(seed).digest(CHUNK_BYTES)


def use(client: Client, signals: Signals) -> dict[str, float]:
    client.execute(bytes(6))  # takes the power on attention
    expect_good("TEST UNIT READY", client.execute(bytes(6)))
    inquiry = expect_good("INQUIRY", client.execute(bytes((0x12, 0, 0, 0, 96, 0)), room=96))
    capacity = expect_good("READ CAPACITY", client.execute(bytes((0x25,)) + bytes(9), room=8))
    blocks = int.from_bytes(capacity[:4], "big") + 1
    console.print(f"  found {inquiry[8:32].decode().strip()}, {blocks * BLOCK_BYTES >> 20} MiB")
    seconds = {}
    columns = (TextColumn("  {task.description:<10}"), BarColumn(), DownloadColumn(binary_units=True))
    with Progress(*columns, console=console) as progress:
        for verb, opcode in (("writing", 0x2A), ("reading", 0x28)):
            bar = progress.add_task(verb, total=TEST_BYTES)
            spent = 0.0
            for number in range(TEST_BYTES // CHUNK_BYTES):
                signals.heed()
                cdb, content = cdb_10(opcode, number * STEP_BYTES, CHUNK_BYTES), pattern(number)
                began = time.perf_counter()
                if opcode == 0x2A:
                    expect_good("WRITE", client.execute(cdb, out=content))
                elif expect_good("READ", client.execute(cdb, room=CHUNK_BYTES)) != content:
                    sys.exit(f"what was read at offset {number * STEP_BYTES} is not what was written there")
                spent += time.perf_counter() - began
                progress.advance(bar, CHUNK_BYTES)
            seconds[verb] = spent
    expect_good("SYNCHRONIZE CACHE", client.execute(bytes((0x35,)) + bytes(9)))
    return seconds


@contextmanager
def foreground() -> Iterator[None]:
    """Keep Ctrl-C from whoever has started us: make would take it for a failure."""
    terminal = sys.stdin.fileno()
    before = os.tcgetpgrp(terminal)
    with suppress(PermissionError):  # we lead a session, and are alone in it
        os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, before)


def show_how_to_attach(url: str) -> None:
    parts = urlsplit(url)
    target = parts.path.split("/")[1]
    console.print("[bold]attach it[/] with one of")
    for line in (
        f"iscsiadm -m discovery -t sendtargets -p {parts.netloc} && iscsiadm -m node -T {target} -p {parts.netloc} --login",
        f"qemu-system-x86_64 -drive file={url},format=raw,if=virtio",
        f"iscsi-inq {url}",
    ):
        console.print(f"  {line}", soft_wrap=True, highlight=False)


def demonstrate(folder: Path, signals: Signals) -> int:
    console.print("[bold]serving[/] a thin disk of 1 GiB")
    began = time.perf_counter()
    daemon = start(folder)
    try:
        url = readiness(daemon)["urls"][0]
        console.print(f"  {url} (ready after {time.perf_counter() - began:.2f} s)", soft_wrap=True, highlight=False)
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        with closing(Client(Address(parts.hostname, parts.port), parts.path.split("/")[1], INITIATOR)) as client:
            console.print("[bold]logged in[/] as an initiator")
            seconds = use(client, signals)
        report = ", ".join(f"{verb} {TEST_BYTES / 2**20 / spent:.0f} MiB/s" for verb, spent in seconds.items())
        console.print(f"[bold green]verified[/] {TEST_BYTES >> 20} MiB: {report}")
        show_how_to_attach(url)
        if sys.stdin.isatty():
            console.print("serving until Ctrl-C")
            signals.wait(os.pidfd_open(daemon.pid))
    except KeyboardInterrupt:
        console.print()  # after the ^C of the terminal
    finally:
        if daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
        status = daemon.wait(30)
    console.print(f"the daemon has drained and ended with exit status {status}")
    return status


def main() -> int:
    signals = Signals()
    with (
        tempfile.TemporaryDirectory(prefix="tgtcore-demo-") as folder,
        foreground() if sys.stdin.isatty() else nullcontext(),
    ):
        return demonstrate(Path(folder), signals)


if __name__ == "__main__":
    sys.exit(main())
