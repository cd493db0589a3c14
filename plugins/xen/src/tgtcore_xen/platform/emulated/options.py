"""The configuration keys of the emulated machine."""

from pydantic import Field

from tgtcore import Options


class EmulatedOptions(Options):
    """Keys of ``[transports.xen.emulated]``."""

    domain: int = Field(default=0, ge=0, le=32751)
    """Number of the domain that the back end is in."""

    machine: str
    """Name of a machine in this process: whoever asks for the same name in the same process gets the same machine."""
