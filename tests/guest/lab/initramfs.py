"""The guest's root file system: chosen files of Debian packages, their libraries, kernel modules, our own files."""

import glob
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from guest.lab.cpio import CpioWriter
from guest.lab.elf import needed
from guest.lab.kernel import Kernel, module_files
from guest.lab.kind import Kind
from guest.lab.packages import Packages, key_of, prune
from guest.lab.program import LabError, run

_OWN_FILES = Path(__file__).parent / "root"
_MERGED = re.compile(r"^(?=(?:bin|sbin|lib|lib64)/)")
_KERNEL_INDEXES = ("modules.builtin", "modules.order", "modules.builtin.modinfo")


def build(packages: Packages, kernel: Kernel, kind: Kind) -> Path:
    """The initramfs of a kind of guest for this kernel, from the cache or made now."""
    tree = packages.tree(kind.packages)
    recipe = [
        path.read_text()
        for path in sorted([*_OWN_FILES.rglob("*"), *Path(__file__).parent.glob("*.py")])
        if path.is_file()
    ]
    image = packages.cache / f"initramfs-{kind.name}-{key_of(tree.name, kernel.image, kind, *recipe)}.cpio"
    if not image.exists():
        part = packages.cache / "initramfs.part"
        with part.open("wb") as file:
            archive = CpioWriter(file)
            _add_all(archive, tree, kernel, kind)
            archive.close()
        part.rename(image)
        prune(packages.cache, f"initramfs-{kind.name}-*.cpio", keep=2)
    return image


def _add_all(archive: CpioWriter, tree: Path, kernel: Kernel, kind: Kind) -> None:
    for folder in kind.folders:
        archive.folder(folder)
    for name in ("bin", "sbin", "lib", "lib64"):
        archive.folder(f"usr/{name}")
        archive.link(name, f"usr/{name}")
    archive.link("var/run", "/run")
    archive.link("var/lock", "/run/lock")
    archive.link("etc/mtab", "/proc/self/mounts")
    archive.character_device("dev/console", 5, 1)
    archive.character_device("dev/null", 1, 3)
    archive.character_device("dev/kmsg", 1, 11)
    chosen = Selection(tree)
    chosen.add_patterns(kind.files)
    chosen.write(archive)
    for name, target in kind.links.items():
        archive.link(name, target)
    if kind.architecture is None:
        _add_applets(archive, tree, {Path(name).name for name in [*chosen.names, *kind.links]})
    for path in sorted(path for path in _OWN_FILES.rglob("*") if path.is_file()):
        name = str(path.relative_to(_OWN_FILES))
        archive.file(name, path.read_bytes(), 0o755 if name == "init" else 0o644)
    archive.file("etc/lab-modules", " ".join(kind.modules_at_boot).encode())
    archive.file("etc/lab-start", kind.starting.encode())
    if kind.added:
        kind.added(archive, tree)
    _add_modules(archive, tree, kernel, kind)


class Selection:
    """Files chosen from an unpacked tree, with the libraries and link targets that they need."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._libraries = {path.name: str(path.relative_to(tree)) for path in (tree / "usr").glob("lib*/**/*.so*")}
        self.names: set[str] = set()

    def add_patterns(self, patterns: Iterable[str]) -> None:
        """Choose by glob patterns; LabError for one that fits nothing, as a package may have been changed."""
        for pattern in patterns:
            # not Path.glob, which follows a link like systemd-udevd -> /bin/udevadm to this machine's own root
            found = glob.glob(pattern, root_dir=self._tree)
            if not found and "*" not in pattern and "/rules.d/" not in pattern:
                raise LabError(f"no package of the guest has {pattern}")
            for name in found:
                self.add(name)

    def add(self, name: str) -> None:
        """Choose one file by its path in the tree."""
        name = _MERGED.sub("usr/", name)
        path = self._tree / name
        if name in self.names or not os.path.lexists(path) or (path.is_dir() and not path.is_symlink()):
            return
        self.names.add(name)
        if path.is_symlink():
            self.add(os.path.normpath(os.path.join("/", os.path.dirname(name), os.readlink(path))).lstrip("/"))
            return
        libraries, loader = needed(path)
        for library in libraries:
            if library in self._libraries:
                self.add(self._libraries[library])
        if loader:
            self.add(loader.lstrip("/"))

    def write(self, archive: CpioWriter) -> None:
        """Put every chosen file into the archive."""
        for name in sorted(self.names):
            path = self._tree / name
            if path.is_symlink():
                archive.link(name, os.readlink(path))
            else:
                archive.file(name, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))


def _add_applets(archive: CpioWriter, tree: Path, taken: set[str]) -> None:
    """Busybox provides every command for which there is no real program."""
    for applet in run(tree / "usr/bin/busybox", "--list-full").split():
        name = Path(applet).name
        if name not in taken and name not in ("busybox", "init"):
            archive.link(f"usr/{'sbin' if 'sbin' in applet else 'bin'}/{name}", "/usr/bin/busybox")


def _add_modules(archive: CpioWriter, tree: Path, kernel: Kernel, kind: Kind) -> None:
    with tempfile.TemporaryDirectory() as work:
        target = Path(work) / "lib/modules" / kernel.release
        for path in module_files(kernel, kind.modules):
            copy = target / path.relative_to(kernel.modules)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        for name in _KERNEL_INDEXES:
            if (kernel.modules / name).exists():
                shutil.copy(kernel.modules / name, target)
        if kind.architecture is None:
            _depmod(tree, Path(work), kernel.release)
        for path in sorted(path for path in target.rglob("*") if path.is_file()):
            archive.file(f"usr/{path.relative_to(work)}", path.read_bytes())


def _depmod(tree: Path, base: Path, release: str) -> None:
    # The guest's own kmod, run with the guest's own libraries: this machine may have none.
    (base / "depmod").symlink_to(tree / "usr/bin/kmod")
    library = next((tree / "usr/lib").glob("*/ld-linux-*"))
    command: list[str | Path] = [library, "--library-path", library.parent, base / "depmod", "-b", base, release]
    done = subprocess.run(command, capture_output=True, errors="replace", check=False, timeout=60)
    if done.returncode:
        raise LabError(f"depmod: {done.stderr[-500:]}")
