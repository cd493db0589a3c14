"""The configuration keys of the formats."""

from typing import Literal, Self

from pydantic import DirectoryPath, Field, model_validator

from tgtcore import Options, Size
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.errors import ImageError


class Qcow2Options(Options):
    """``type = "qcow2"``."""

    create: bool = Field(default=False, description="make an image in a base that holds nothing but zeroes")
    size: Size | None = Field(
        default=None, description="size of the disk of an image that is made; an existing one keeps its own"
    )
    cluster_size: Size = Field(default=65536, description="size of the clusters of an image that is made, 512 to 2M")
    extended_l2: bool = Field(
        default=False, description="let an image that is made allocate by the 32nd part of a cluster"
    )
    refcount_bits: int = Field(
        default=16, description="width of the reference counts of an image that is made; 1 to 64, a power of two"
    )
    backing_file: str = Field(
        default="", description="name of what an image that is made stands on, as seen from the image's folder"
    )
    backing_format: Literal["raw", "qcow2"] | None = Field(
        default=None, description="the format of that file; also of one whose format an image does not tell"
    )
    places: tuple[str, ...] = Field(
        default=(),
        description="folders, files and devices that the image may refer to, besides files in its own folder",
    )
    repair: bool = Field(
        default=False, description="repair an image that says that it is damaged or was not closed properly"
    )
    read_only: bool = Field(default=False, description="open for reading; nothing is made or repaired")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.create and self.size is None:
            raise ValueError('create = true needs a size, such as size = "10G"')
        for key in ("size", "backing_file"):
            if getattr(self, key) and not self.create:
                raise ValueError(f"{key} only counts for an image that is made: expected create = true beside it")
        if self.create:
            try:
                self.new_image().check()
            except ImageError as error:
                raise ValueError(str(error)) from error
        return self

    def new_image(self) -> CreateOptions:
        """What an image that is made shall be."""
        return CreateOptions(
            size_bytes=self.size or 0,
            cluster_bytes=self.cluster_size,
            extended_l2=self.extended_l2,
            refcount_bits=self.refcount_bits,
            backing_file=self.backing_file,
            backing_format=(self.backing_format or "") if self.backing_file else "",
        )


class OverlayOptions(Options):
    """``type = "overlay"``."""

    data: Literal["memory", "file"] = Field(
        default="file", description="where blocks that were written are: in a file without a name, or in memory"
    )
    folder: DirectoryPath | None = Field(
        default=None, description="where that file is; by default in the system's folder for temporary files"
    )
    limit: Size | None = Field(
        default=None,
        description="most space for such blocks; a write beyond fails with ENOSPC; by default that of the disk",
    )
    reset: Literal["never", "logout"] = Field(
        default="never", description="when to forget by itself what was written: never, or after the last logout"
    )

    @model_validator(mode="after")
    def _folder_of_a_file(self) -> Self:
        if self.folder is not None and self.data == "memory":
            raise ValueError('folder only counts for data = "file"')
        return self
