"""Configuration of the platform."""

from pathlib import Path

from pydantic import Field

from tgtcore import Options


class QemuPseriesOptions(Options):
    """Where the guest is found."""

    gdb: Path = Field(
        description="UNIX socket of QEMU's debugger stub (-chardev socket,id=gdb,path=...,server=on,wait=off -gdb chardev:gdb)."
    )
    ram: Path = Field(
        description="File of the guest's memory (-object memory-backend-file,id=ram,mem-path=...,share=on)."
    )
    kernel: Path = Field(description="The guest's kernel as an ELF file with symbols, started with nokaslr.")
    partition_number: int = Field(1, ge=1, le=65535, description="What the guest's partition number is to be.")
    partition_name: str = Field(
        "guest", min_length=1, max_length=95, description="What the guest's partition name is to be."
    )
