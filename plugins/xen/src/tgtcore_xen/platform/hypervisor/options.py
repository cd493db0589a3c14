"""The configuration keys of the hypervisor."""

from pathlib import Path

from pydantic import Field, field_validator

from tgtcore import Options


class HypervisorOptions(Options):
    """Keys of ``[transports.xen.hypervisor]``."""

    xenstore: Path | None = None
    """Socket of the xenstore's server, or the device ``/dev/xen/xenbus``; by default the first of ``/run/xenstored/socket``,
    ``/var/run/xenstored/socket`` and that device that is there."""

    gntdev: Path = Path("/dev/xen/gntdev")
    """Device of grants."""

    evtchn: Path = Path("/dev/xen/evtchn")
    """Device of event channels."""

    domain: int | None = Field(default=None, ge=0, le=32751)
    """Number of the domain that this is; by default the xenstore knows it."""

    @field_validator("xenstore", "gntdev", "evtchn")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError("expected an absolute path")
        return path
