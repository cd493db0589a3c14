"""A file store that keeps snapshots, as copies beside it, and a plugin with it for daemons that are processes of their own."""

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from tgtcore import Buffer, Concurrency, Options, Size, SnapshotInfo, Store, StoreError, hookimpl

TGTCORE_API = 1
NAME = "keeping"
_WAIT_S = 30


class KeepingOptions(Options):
    """Its keys."""

    path: Path
    size: Size = 1 << 20
    held_up_by: Path | None = None
    """As long as this file is there, no snapshot becomes ready."""


class KeepingFile(Store):
    """A file; each snapshot is a file ``PATH.ID.NAME``."""

    Options = KeepingOptions
    persistent = True
    concurrency = Concurrency.PARALLEL

    def __init__(self, options: KeepingOptions) -> None:
        self._path = options.path
        self._held_up_by = options.held_up_by
        self._copied: set[Path] = set()
        self._fd = os.open(options.path, os.O_RDWR | os.O_CREAT, 0o600)
        if not os.fstat(self._fd).st_size:
            os.ftruncate(self._fd, options.size)
        self.size_bytes = os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract."""
        return os.pread(self._fd, length, offset)

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract."""
        if os.pwrite(self._fd, data, offset) != len(data):
            raise OSError(28, "No space left on device")

    def flush(self) -> None:
        """As in the contract."""
        os.fdatasync(self._fd)

    def resize(self, size_bytes: int) -> None:
        """As in the contract."""
        os.ftruncate(self._fd, size_bytes)
        self.size_bytes = size_bytes

    def list_snapshots(self) -> list[SnapshotInfo]:
        """As in the contract."""
        return sorted(self._kept(), key=lambda one: int(one.id))

    def create_snapshot(self, name: str) -> SnapshotInfo:
        """As in the contract; takes its time where it is held up."""
        kept = self.list_snapshots()
        if any(name in (one.id, one.name) for one in kept):
            raise StoreError(f'there is a snapshot "{name}" already')
        if "/" in name:
            raise StoreError(f'"{name}" can\'t name a snapshot')
        number = 1 + max((int(one.id) for one in kept), default=0)
        ends_at = time.monotonic() + _WAIT_S
        while self._held_up_by is not None and self._held_up_by.exists():
            assert time.monotonic() < ends_at
            time.sleep(0.01)
        path = self._path.with_name(f"{self._path.name}.{number}.{name}")
        path.write_bytes(self.read(0, self.size_bytes))
        return self._info(path)

    def delete_snapshot(self, id_or_name: str) -> None:
        """As in the contract."""
        kept = self._find(id_or_name)
        if kept in self._copied:
            raise StoreError(f'snapshot "{id_or_name}" is being copied')
        kept.unlink()

    def revert_snapshot(self, id_or_name: str) -> None:
        """As in the contract."""
        content = self._find(id_or_name).read_bytes()
        self.resize(len(content))
        self.write(0, content)
        self.flush()

    def clone_snapshot(self, id_or_name: str, path: Path) -> Generator[int, None, None]:
        """As in the contract; takes its time where it is held up."""
        kept = self._find(id_or_name)
        content = kept.read_bytes()
        part = path.with_name(f"{path.name}.part")
        self._copied.add(kept)
        try:
            part.write_bytes(content)
            yield len(content) // 2
            while self._held_up_by is not None and self._held_up_by.exists():
                time.sleep(0.01)
                yield len(content) // 2
            yield len(content)
            os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
            self._copied.discard(kept)

    def close(self) -> None:
        """As in the contract."""
        os.close(self._fd)

    def _kept(self) -> list[SnapshotInfo]:
        return [self._info(path) for path in self._path.parent.glob(f"{self._path.name}.*.*")]

    def _info(self, path: Path) -> SnapshotInfo:
        number, _, name = path.name.removeprefix(f"{self._path.name}.").partition(".")
        status = path.stat()
        return SnapshotInfo(number, name, status.st_mtime_ns, status.st_size)

    def _find(self, id_or_name: str) -> Path:
        for one in self.list_snapshots():
            if id_or_name in (one.id, one.name):
                return self._path.with_name(f"{self._path.name}.{one.id}.{one.name}")
        raise StoreError(f'there is no snapshot "{id_or_name}"')


@hookimpl
def tgt_register_stores(registry: Any) -> None:
    """Offer it."""
    registry.store("keeping-file", KeepingFile)
