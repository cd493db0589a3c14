"""The configuration keys of the stores."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from tgtcore import Options, Size


class FileOptions(Options):
    """``type = "file"``."""

    path: Path = Field(description="image file or block device")
    create: bool = Field(default=False, description="make the file if it is not there")
    size: Size | None = Field(default=None, description="size of a file that is made; an existing file keeps its own")
    preallocate: bool = Field(
        default=False, description="reserve space for all of a file that is made, and never give it back"
    )
    read_only: bool = Field(default=False, description="open for reading, beside other readers; nothing is made")

    @model_validator(mode="after")
    def _created_with_a_size(self) -> Self:
        if self.create and self.size is None:
            raise ValueError('create = true needs a size, such as size = "10G"')
        if self.size is not None and not self.create:
            raise ValueError("size only counts for a file that is made: expected create = true beside it")
        return self


class MemoryOptions(Options):
    """``type = "memory"``."""

    size: Size = Field(description="size of the medium")
    limit: Size | None = Field(
        default=None, description="most memory for its content; a write beyond fails with ENOSPC"
    )


class NullOptions(Options):
    """``type = "null"``."""

    size: Size = Field(description="size of the medium")
