"""The configuration keys of emulated partitions."""

import grp
from pathlib import Path

from pydantic import Field, field_validator

from tgtcore import Options, Size
from tgtcore_ibmvio.platform.emulated.wire import PAGE_BYTES


class EmulatedOptions(Options):
    """Keys of ``[transports.ibmvio.emulated]``."""

    directory: Path
    """Where the sockets of the adapters are, each named by its unit address in hexadecimal; it is made when it is missing."""

    group: str | None = None
    """A group whose members may be client partitions too; without one only root and the user of the daemon may."""

    memory_max: Size = Field(default=256 << 20, ge=PAGE_BYTES, le=1 << 40, validate_default=True)
    """The most memory that one client partition may have, and the largest DMA window, in bytes."""

    @field_validator("directory")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("expected an absolute path")
        return path

    @field_validator("group")
    @classmethod
    def _known(cls, group: str | None) -> str | None:
        if group is not None:
            try:
                grp.getgrnam(group)
            except KeyError:
                raise ValueError(f"there is no group {group!r}") from None
        return group

    @property
    def gid(self) -> int:
        """Number of the group; -1: none."""
        return -1 if self.group is None else grp.getgrnam(self.group).gr_gid
