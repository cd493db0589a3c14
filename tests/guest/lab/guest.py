"""A real Linux initiator for tests: an unmodified Debian kernel in QEMU, restored from a snapshot in under a second.

Host services on 127.0.0.2 to 127.255.255.254 have the same addresses in the guest (those on 127.0.0.1 are at 10.0.2.2).
"""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

from guest.lab import hypervisor, initramfs, kernel, qemu
from guest.lab.apt import Apt
from guest.lab.catalogue import USUAL
from guest.lab.console import Console
from guest.lab.kind import Images, Kind
from guest.lab.packages import Packages, default_cache, key_of, locked, prune
from guest.lab.shell import Shell

_BOOT_S = 120


class Guest(Shell):
    """One running guest; use it as a context manager."""

    def __init__(self, kind: Kind = USUAL) -> None:
        self._kind = kind
        cache = default_cache(kind.name)
        self._packages = Packages(cache, Apt(cache, kind.architecture), kind.unwanted)
        self.work = Path(tempfile.mkdtemp(prefix="guest-", dir=kind.work_parent))
        self._machine: qemu.Qemu | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the guest and remove its folder."""
        if self._machine:
            self._machine.kill()
        shutil.rmtree(self.work, ignore_errors=True)

    @property
    def console(self) -> str:
        """What the kernel wrote to its console."""
        return (self.work / "console.log").read_text(errors="replace")

    def _start(self) -> None:
        kind = self._kind
        version = qemu.version(kind.program, kind.qemu_package)
        with locked(self._packages.cache / "lock"):
            self.kernel = kernel.fetch(self._packages, kind.kernel_package)
            root = initramfs.build(self._packages, self.kernel, kind)
            nested = initramfs.build(self._packages, self.kernel, kind.nested) if kind.nested else None
            images = Images(self.kernel.image, root, hypervisor.unpacked(self._packages, kind), nested)
            command = [kind.program, *kind.command(images, self.work)]
            if kind.restorable:
                command += self._restored(command, version)
        self._boot(command)
        if not kind.restorable:
            self._console.wait_ready(_BOOT_S)
        # A restored guest is where it was saved: give it the time of day and randomness of its own.
        self.run(f"date -s @{int(time.time())} >/dev/null; cat >/dev/urandom", stdin=os.urandom(64), timeout_s=_BOOT_S)

    def _boot(self, command: list[str]) -> None:
        self._machine = qemu.Qemu(command, self.work)
        self._console = Console(self._machine.agent)

    def _restored(self, command: list[str], version: str) -> list[str]:
        """Arguments that start from the snapshot of a booted guest, which is in the cache or made now."""
        recipe = [part.replace(str(self.work), "") for part in command]
        snapshot = self._packages.cache / f"snapshot-{key_of(version, *recipe)}.bin"
        if not snapshot.exists():
            self._save(command, snapshot)
        return ["-incoming", f"exec:cat '{snapshot}'"]

    def _save(self, command: list[str], snapshot: Path) -> None:
        self._boot(command)
        self._console.wait_ready(_BOOT_S)
        assert self._machine
        self._machine.save(snapshot)
        self._machine.kill()
        prune(snapshot.parent, "snapshot-*.bin", keep=2)
