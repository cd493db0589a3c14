"""The configuration keys of QEMU's pSeries guests."""

from pathlib import Path

from pydantic import Field, field_validator

from tgtcore import Options


class QemuPseriesOptions(Options):
    """Keys of ``[transports.ibmvio.qemu_pseries]``."""

    gdb: Path
    """UNIX socket of the stub for GDB in the guest's QEMU."""

    ram: Path
    """The file that is the guest's memory."""

    kernel: Path
    """The guest's kernel, an ELF file with symbols."""

    partition_number: int = Field(default=1, ge=1, le=65535)
    """What the guest's partition number is to be."""

    partition_name: str = Field(default="guest", min_length=1, max_length=95, pattern=r"^[!-~]+$")
    """What the guest's partition name is to be: clients are admitted by it."""

    @field_validator("gdb", "ram", "kernel")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("expected an absolute path")
        return path
