"""The configuration keys of the emulated machine."""

from tgtcore import Options


class EmulatedOptions(Options):
    """Keys of ``[transports.xen.emulated]``."""

    machine: str
    """Name of a machine in this process: whoever asks for the same name in the same process gets the same machine."""
