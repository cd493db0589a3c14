"""QEMU's pSeries guests as partners: their own unmodified client of virtual SCSI, through the stub for GDB in QEMU."""

from tgtcore_ibmvio.platform.qemu_pseries.options import QemuPseriesOptions
from tgtcore_ibmvio.platform.qemu_pseries.platform import QemuPseries

__all__ = ["QemuPseries", "QemuPseriesOptions"]
