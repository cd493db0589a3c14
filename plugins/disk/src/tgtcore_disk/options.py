"""Configuration keys of a disk."""

from typing import Literal

from pydantic import Field, model_validator

from tgtcore import Options, Size

_MIB = 1024 * 1024


class DiskOptions(Options):
    """The options of the device type ``disk``; sizes in bytes."""

    block_size: Literal[512, 4096] = Field(512, description="logical block size")
    physical_block_size: int | None = Field(
        None, ge=512, le=65536, description="physical block size; by default what the store prefers, 4096 at most"
    )
    thin: bool | None = Field(None, description="offer UNMAP; by default whether the store can give space back")
    removable: bool = Field(False, description="the medium can be ejected and loaded by initiators")
    write_cache: bool = Field(True, description="a write may end before it is durable, until SYNCHRONIZE CACHE")
    rotation_rate: int | None = Field(
        None, ge=0, le=0xFFFE, description="revolutions per minute, 1: not rotating; by default what the store says"
    )
    soft_threshold: Size | None = Field(
        None,
        description="tell initiators when less space than this is left for a thin disk; by default they are not told",
    )
    max_transfer_bytes: int = Field(4 * _MIB, ge=65536, le=16 * _MIB, description="longest READ or WRITE")

    @model_validator(mode="after")
    def _sizes_fit(self) -> "DiskOptions":
        physical = self.physical_block_size
        if physical is not None and (physical & (physical - 1) or physical < self.block_size):
            raise ValueError(
                f"physical_block_size is {physical}, expected a power of two not less than block_size ({self.block_size})"
            )
        if self.max_transfer_bytes % self.block_size:
            raise ValueError(f"max_transfer_bytes is {self.max_transfer_bytes}, expected a multiple of block_size")
        return self
