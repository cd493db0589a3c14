"""What runs below the kernel of a guest that has a hypervisor of its own."""

import gzip
from pathlib import Path

from guest.lab.kind import Kind
from guest.lab.packages import Packages, key_of
from guest.lab.program import LabError


def unpacked(packages: Packages, kind: Kind) -> Path | None:
    """The hypervisor of a kind of guest as QEMU takes it, from the cache or unpacked now; None: there is none."""
    if kind.hypervisor is None:
        return None
    tree = packages.tree(kind.packages)
    found = sorted(tree.glob(kind.hypervisor))
    if not found:
        raise LabError(f"no package of the guest has {kind.hypervisor}")
    image = packages.cache / f"hypervisor-{key_of(tree.name, kind.hypervisor)}"
    if not image.exists():
        part = image.with_suffix(".part")
        part.write_bytes(gzip.decompress(found[-1].read_bytes()))
        part.rename(image)
    return image
