"""Debian packages by the machine's own apt client, unpacked into a cache folder; nothing is installed."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from guest.lab.apt import Apt
from guest.lab.program import LabError

_INSTALL = re.compile(r"^Inst (\S+) \((\S+) ", re.M)
_MERGED = ("bin", "sbin", "lib", "lib64")
_LEFT_OUT = tuple(f"--exclude=./usr/share/{name}" for name in ("doc", "man", "locale", "info"))
_Found = TypeVar("_Found")
_Made = TypeVar("_Made")


def default_cache(name: str) -> Path:
    """The folder that keeps packages, images and snapshots of a kind of guest between runs."""
    home = os.environ.get("TGTCORE_CACHE")
    return (Path(home) if home else Path(__file__).parents[3] / ".cache") / name


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out that hold the same lock file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def key_of(*parts: object) -> str:
    """A short content key for the name of a cached file."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def prune(folder: Path, pattern: str, keep: int) -> None:
    """Remove all but the newest files of a kind; each change of the recipe makes a new one."""
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[keep:]:
        path.unlink(missing_ok=True)


def remembered(memo: Path, ask: Callable[[], _Found], use: Callable[[_Found], _Made]) -> _Made:
    """Use what was found out last time; ask again where that fails, as the archive may have moved on to newer versions."""
    if memo.exists():
        try:
            return use(json.loads(memo.read_text()))
        except LabError:
            memo.unlink()
    found = ask()
    made = use(found)
    memo.write_text(json.dumps(found, indent=1))
    return made


class Packages:
    """A cache of downloaded packages and of the trees unpacked from them."""

    def __init__(self, cache: Path, apt: Apt, unwanted: str) -> None:
        self.cache = cache
        self.apt = apt
        self._unwanted = unwanted
        self.archive = cache / "debs"
        self.archive.mkdir(parents=True, exist_ok=True)

    def tree(self, names: Iterable[str]) -> Path:
        """The folder into which the named packages and all that they depend on are unpacked."""
        memo = self.cache / f"versions-{key_of(*sorted(names), self._unwanted)}.json"
        return remembered(memo, lambda: self._resolve(names), self._unpacked)

    def _resolve(self, names: Iterable[str]) -> dict[str, str]:
        self.apt.refresh()
        plan = self.apt.plan(list(names))
        found = {name.split(":")[0]: version for name, version in _INSTALL.findall(plan)}
        return {name: version for name, version in found.items() if not re.fullmatch(self._unwanted, name)}

    def download(self, versions: dict[str, str]) -> list[Path]:
        """Fetch exact versions; what is in the cache already is not asked for."""
        need = [f"{name}={version}" for name, version in versions.items() if not self._file(name, version)]
        if need:
            self.apt.download(need, self.archive)
        files = {name: self._file(name, version) for name, version in versions.items()}
        missing = [name for name, file in files.items() if file is None]
        if missing:
            raise LabError(f"not downloaded: {', '.join(missing)}")
        return [file for file in files.values() if file]

    def _file(self, name: str, version: str) -> Path | None:
        return next(self.archive.glob(f"{name}_{version.replace(':', '%3a')}_*.deb"), None)

    def _unpacked(self, versions: dict[str, str]) -> Path:
        root = self.cache / f"tree-{key_of(*sorted(versions.items()))}"
        if not root.is_dir():
            work = root.with_suffix(".part")
            shutil.rmtree(work, ignore_errors=True)
            for name in _MERGED:
                (work / "usr" / name).mkdir(parents=True)
                (work / name).symlink_to(f"usr/{name}")
            for package in self.download(versions):
                unpack(package, work)
            work.rename(root)
        return root


def unpack(package: Path, root: Path) -> None:
    """Unpack one package; unlike dpkg -x this keeps folders that are symbolic links."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as source:
        options = ("--keep-directory-symlink", "--no-same-owner", *_LEFT_OUT)
        done = subprocess.run(
            ["tar", "-x", "-C", root, *options], stdin=source.stdout, capture_output=True, check=False, timeout=300
        )
    if source.returncode or done.returncode:
        raise LabError(f"cannot unpack {package.name}: {done.stderr.decode(errors='replace')[-500:]}")
