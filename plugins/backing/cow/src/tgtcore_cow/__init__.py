"""Copy-on-write images with snapshots (qcow2) and throw-away overlays, a plugin of tgtcore and a library.

As a library: :class:`Qcow2Image` opens or makes an image, and reads and writes its disk.
"""

from typing import TYPE_CHECKING

from tgtcore import hookimpl
from tgtcore_cow.library import Qcow2Image
from tgtcore_cow.names import Rules
from tgtcore_cow.overlay_format import Overlay
from tgtcore_cow.qcow2.check import Report
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.errors import Corrupt, ImageError
from tgtcore_cow.qcow2.repair import Repaired
from tgtcore_cow.qcow2.snapshot_table import Snapshot
from tgtcore_cow.qcow2_format import Qcow2

if TYPE_CHECKING:
    from tgtcore.registry import Registry

__all__ = ["Corrupt", "CreateOptions", "ImageError", "Qcow2Image", "Repaired", "Report", "Rules", "Snapshot"]

TGTCORE_API = 1


@hookimpl
def tgt_register_formats(registry: "Registry") -> None:
    """The names that users write."""
    registry.format("overlay", Overlay)
    registry.format("qcow2", Qcow2)
