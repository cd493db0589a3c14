"""Stores that show what a good medium hides, as a plugin that a daemon under test loads: see :func:`served`."""

import os
import random
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tgtcore_file.file
from oracle.served import TARGET, Served
from support.worker_file import WorkerFile
from tgtcore_file.file import FileStore
from tgtcore_file.options import FileOptions
from tgtcore_file.syscalls import fallocate

from tgtcore import Buffer, hookimpl

TGTCORE_API = 1
_HERE = Path(__file__).parent
_NAME = "harsh"
_SLOW_S = 0.03
_MEDIUM_S = 0.002
_CONFIG = """
plugins = ["iscsi", "disk", "{name}"]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]
[logical_units.disk]
device_type = "disk"
store = {{ type = "{store}", path = "disk.img", create = true, size = "{size}" }}
[targets."{target}"]
transport = "iscsi"
luns = ["disk"]
allow = {{ initiators = ["*"] }}
"""


def served(work: Path, store: str, size: str) -> Served:
    """A daemon with one disk on one of these stores, in a folder where it may have been before."""
    text = _CONFIG.format(name=_NAME, store=store, size=size, target=TARGET)
    (work / "tgtd.toml").write_text(Served.with_isolation(text))
    return Served(work, "--config", "tgtd.toml", environment=environment(work, {_NAME: __name__}))


def environment(work: Path, plugins: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a daemon finds plugins that are only for a test: modules by name of the plugin."""
    for name, module in plugins.items():
        metadata = work / "site" / f"{name}-1.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(f"[tgtcore.plugins]\n{name} = {module}\n")
    path = (str(work / "site"), str(_HERE.parent), os.environ.get("PYTHONPATH"))
    return {"PYTHONPATH": os.pathsep.join(filter(None, path))}


class SlowFile(WorkerFile):
    """An image file that takes its time: what is late shows."""

    def write(self, offset: int, data: Buffer) -> None:
        """Late, and long ones in two halves."""
        half = len(data) // 2
        for part, at in ((memoryview(data)[:half], offset), (memoryview(data)[half:], offset + half)):
            time.sleep(random.random() * _SLOW_S)
            super().write(at, part)


class PowerCutFile(FileStore):
    """An image file that loses at a power cut (kill -9 of the daemon) what was not made durable.

    The image stands for the page cache; beside it ``platter`` holds what the system calls that promise durability have covered,
    and the next daemon begins with that.
    """

    def __init__(self, options: FileOptions) -> None:
        platter = options.path.with_suffix(".platter")
        if platter.exists():
            shutil.copyfile(platter, options.path)
        super().__init__(options)
        if not platter.exists():
            shutil.copyfile(options.path, platter)
        _Medium(platter).replace_system_calls()


class _Medium:
    """A disk behind the page cache: only DSYNC writes and fdatasync reach it, and they take a while."""

    def __init__(self, platter: Path) -> None:
        self._platter = os.open(platter, os.O_RDWR)
        self._dirty: list[tuple[int, int]] = []
        self._changing = threading.Lock()

    def replace_system_calls(self) -> None:
        """From now on the store ``file`` works on this medium."""
        calls = {"pwrite": self._pwrite, "pwritev": self._pwritev, "fdatasync": self._fdatasync}
        replaced = SimpleNamespace(**{**vars(os), **calls})
        setattr(tgtcore_file.file, "os", replaced)  # noqa: B010

        def recorded(fd: int, mode: int, offset: int, length: int) -> None:
            fallocate(fd, mode, offset, length)
            self._dirty.append((offset, length))

        setattr(tgtcore_file.file, "fallocate", recorded)  # noqa: B010

    def _pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        return self._pwritev(fd, (data,), offset)

    def _pwritev(self, fd: int, buffers: Any, offset: int, flags: int = 0) -> int:
        written = os.pwritev(fd, buffers, offset, flags)
        if flags & os.RWF_DSYNC:
            time.sleep(_MEDIUM_S)
            self._harden(fd, offset, written)
        else:
            self._dirty.append((offset, written))
        return written

    def _fdatasync(self, fd: int) -> None:
        with self._changing:
            count = len(self._dirty)
            time.sleep(_MEDIUM_S)
            for offset, length in self._dirty[:count]:
                self._harden(fd, offset, length)
            del self._dirty[:count]

    def _harden(self, fd: int, offset: int, length: int) -> None:
        os.pwrite(self._platter, os.pread(fd, length, offset), offset)


@hookimpl
def tgt_register_stores(registry: Any) -> None:
    """Offer the stores."""
    registry.store("slow-file", SlowFile)
    registry.store("power-cut-file", PowerCutFile)
