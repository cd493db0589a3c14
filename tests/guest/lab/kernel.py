"""A Debian kernel: unpacked, its ELF image taken out, its modules found with what they depend on."""

import lzma
import re
import shutil
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from guest.lab.apt import Apt
from guest.lab.packages import Packages, remembered, unpack
from guest.lab.program import LabError

_META = re.compile(r"^Depends: (linux-image-\S+) \(= (\S+)\)", re.M)
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
_SOFTDEP = re.compile(rb"\0softdep=(?:pre|post): ?([^\0]*)")


@dataclass(frozen=True)
class Kernel:
    """One unpacked kernel package."""

    release: str
    image: Path
    modules: Path


def fetch(packages: Packages, package: str) -> Kernel:
    """The kernel that the archive offers now behind a package that always means the newest, or the one in the cache."""
    return remembered(
        packages.cache / "kernel.json",
        lambda: _newest(packages.apt, package),
        lambda found: _unpacked(packages, *found),
    )


def _newest(apt: Apt, package: str) -> list[str]:
    """Name and version of the package behind another."""
    apt.refresh()
    found = _META.search(apt.show(package))
    if not found:
        raise LabError(f"there is no kernel behind {package}")
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
        image = next((work / "boot").glob("vmlinu[xz]-*")).read_bytes()
        (work / "image").write_bytes(elf_of(image) or image)
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
