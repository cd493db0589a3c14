"""A Debian kernel: unpacked, its ELF image taken out, its modules found with what they depend on."""

import lzma
import re
import shutil
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from guest.lab.catalogue import KERNEL_PACKAGE
from guest.lab.packages import LabError, Packages, remembered, run, unpack

_META = re.compile(r"^Depends: (linux-image-\S+) \(= (\S+)\)", re.M)
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
_SOFTDEP = re.compile(rb"\0softdep=(?:pre|post): ?([^\0]*)")


@dataclass(frozen=True)
class Kernel:
    """One unpacked kernel package."""

    release: str
    image: Path
    modules: Path


def fetch(packages: Packages) -> Kernel:
    """The kernel that the archive offers now, or the one in the cache."""
    return remembered(packages.cache / "kernel.json", _newest, lambda found: _unpacked(packages, *found))


def _newest() -> list[str]:
    """Name and version of the package behind the one that always means the newest kernel."""
    found = _META.search(run("apt-cache", "show", "--no-all-versions", KERNEL_PACKAGE))
    if not found:
        raise LabError(f"apt knows no kernel behind {KERNEL_PACKAGE}; has 'apt-get update' been run?")
    return list(found.groups())


def _unpacked(packages: Packages, name: str, version: str) -> Kernel:
    release = name.removeprefix("linux-image-")
    root = packages.cache / f"kernel-{release}_{version}"
    if not root.is_dir():
        (package,) = packages.download({name: version})
        work = root.with_suffix(".part")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        unpack(package, work)
        compressed = (work / "boot" / f"vmlinuz-{release}").read_bytes()
        (work / "image").write_bytes(elf_of(compressed) or compressed)
        work.rename(root)
    return Kernel(release, root / "image", root / "lib/modules" / release)


def elf_of(image: bytes) -> bytes | None:
    """The ELF file inside a bzImage: booting it spares seconds of emulated decompression."""
    if image[0x202:0x206] != b"HdrS":
        return None
    setup_sectors = (image[0x1F1] or 4) + 1
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = setup_sectors * 512 + offset
    try:
        elf = lzma.LZMADecompressor().decompress(image[start : start + length])
    except lzma.LZMAError:
        return None
    return elf if elf.startswith(b"\x7fELF") else None


def module_files(kernel: Kernel, names: Iterable[str]) -> list[Path]:
    """The files of the named modules and of everything that they need; LabError names one that doesn't exist."""
    files = {_plain(path.name.split(".ko")[0]): path for path in kernel.modules.rglob("*.ko*")}
    builtin = {_plain(Path(line).stem) for line in (kernel.modules / "modules.builtin").read_text().split()}
    chosen: dict[str, Path] = {}
    wanted = [(_plain(name), True) for name in names]
    while wanted:
        name, needed = wanted.pop()
        if name in chosen or name in builtin:
            continue
        if name in files:
            chosen[name] = files[name]
            wanted += _needs(files[name])
        elif needed:
            raise LabError(f"kernel {kernel.release} has no module {name}")
    return sorted(chosen.values())


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _needs(path: Path) -> list[tuple[str, bool]]:
    content = path.read_bytes()
    if path.suffix == ".xz":
        content = lzma.decompress(content)
    hard = [name for found in _DEPENDS.findall(content) for name in found.decode().split(",") if name]
    soft = [name for found in _SOFTDEP.findall(content) for name in found.decode().split()]
    return [(_plain(name), True) for name in hard] + [(_plain(name), False) for name in soft]
