"""A folder with installed distributions, as pip would leave them: what it does in seconds is done at once."""

import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from tgtcore.plugins import Modules

_seconds = itertools.count(1_000_000_000)


class Site:
    """Such a folder; see :func:`site_on_the_path`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, name: str, body: str, version: str = "1.0", **others: str) -> None:
        """Install a distribution with one plugin, in the place of another version of it.

        :param others: further modules of the distribution, by name.
        """
        module = distribution.replace("-", "_")
        self.uninstall(distribution)
        for file, text in {module: body, **others}.items():
            path = self.folder / f"{file}.py"
            path.write_text(dedent(text))
            stamp = next(_seconds)
            os.utime(path, (stamp, stamp))  # byte code is told apart by whole seconds
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[tgtcore.plugins]\n{name} = {module}\n")
        (info / "RECORD").write_text("".join(f"{file}.py,,\n" for file in (module, *others)))

    def uninstall(self, distribution: str) -> None:
        """Remove what is installed of a distribution."""
        for info in self.folder.glob(f"{distribution.replace('-', '_')}-*.dist-info"):
            for line in (info / "RECORD").read_text().splitlines():
                (self.folder / line.partition(",")[0]).unlink()
            shutil.rmtree(info)


@contextmanager
def site_on_the_path(folder: Path) -> Iterator[Site]:
    """A new folder that Python imports from, until what it has imported under names that begin with ``acme`` is taken out."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        yield Site(folder)
        left = Modules({name: sys.modules[name] for name in acme_modules()})
        left.stop_listening()
        left.take_out()


def acme_modules() -> list[str]:
    """The names of such modules that are imported now."""
    return [name for name in sys.modules if name.startswith("acme")]


FILE_STORE = """
    import fcntl
    import os
    from pathlib import Path
    from tgtcore import Options, Store, hookimpl
    from tgtcore.signals import store_opened

    class AcmeOptions(Options):
        path: Path

    class Acme(Store):
        Options = AcmeOptions
        persistent = True
        version = VERSION

        def __init__(self, options):
            self._fd = os.open(options.path, os.O_RDWR)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.size_bytes = os.lseek(self._fd, 0, os.SEEK_END)
                self.begin(options)
            except BaseException:
                os.close(self._fd)
                raise

        def begin(self, options):
            pass

        def read(self, offset, length):
            return os.pread(self._fd, length, offset)

        def write(self, offset, data):
            assert os.pwrite(self._fd, data, offset) == len(data)

        def flush(self):
            os.fdatasync(self._fd)

        def close(self):
            os.close(self._fd)

    opened = []

    @store_opened.connect
    def note(store):
        opened.append(store.name)

    @hookimpl
    def tgt_register_stores(registry):
        registry.store("acme", Acme)

    @hookimpl
    def tgt_status(detail):
        return {"acme": VERSION}
"""
"""A plugin with the store ``acme``, which has a lock on its file; it also listens to a signal."""


def file_store(version: int, old: str = "", new: str = "") -> str:
    """A version of it, with one text replaced by another."""
    assert old in FILE_STORE
    return FILE_STORE.replace("VERSION", str(version)).replace(old, new, 1 if old else 0)
