"""The configuration keys of Xen's virtual SCSI and of its targets."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tgtcore import Options, PlatformOptions, Size
from tgtcore_xen.hba.devices import VirtualDevice
from tgtcore_xen.platform.contract import PAGE_BYTES
from tgtcore_xen.platform.emulated.options import EmulatedOptions
from tgtcore_xen.platform.hypervisor.options import HypervisorOptions

LUNS_MAX = 1 << 14
_ADDRESS = re.compile(r"([!-.0-~]{1,120})/(0|[1-9][0-9]{0,4})", re.ASCII)


def hba_address(value: Any) -> str:
    """``GUEST/DEV``: whose virtual HBA it is, and its number there; in lower case where the guest is a UUID.

    :raises ValueError: it is something else.
    """
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            f"{value!r:.60} is no virtual HBA, expected GUEST/DEV: name, UUID or domid of the guest, and a number, such as "
            '"web1/0"'
        )
    guest, dev = found.groups()
    return f"{guest.lower() if UUID.fullmatch(guest) else guest}/{dev}"


UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class HbaOptions(Options):
    """One virtual HBA of a guest: what a portal is to this transport."""

    address: Annotated[str, BeforeValidator(hba_address)]
    """Guest and number: ``web1/0``.  The guest is named by its name, its UUID, or its domid if that is all there is."""

    target: str | None = Field(default=None, min_length=1, max_length=223)
    """The target that it leads to; by default that which is called like the guest here."""

    group: int = Field(default=1, ge=1, le=65535)
    """Target port group of its port."""

    @property
    def guest(self) -> str:
        """Name, UUID or domid of the guest."""
        return self.address.rpartition("/")[0]

    @property
    def dev(self) -> int:
        """Its number in the guest."""
        return int(self.address.rpartition("/")[2])

    @property
    def target_name(self) -> str:
        """The target that it leads to."""
        return self.guest if self.target is None else self.target


class XenOptions(PlatformOptions):
    """Keys of ``[transports.xen]``."""

    table: ClassVar[str] = "transports.xen"

    portals: tuple[HbaOptions, ...] = ()
    """The virtual HBAs that are served."""

    platform: Literal["hypervisor", "emulated"] = "hypervisor"
    """Where the guests are; its own keys are in the table of its name."""

    hypervisor: HypervisorOptions = Field(default_factory=HypervisorOptions)
    """Keys of the real hypervisor."""

    emulated: EmulatedOptions | None = None
    """Keys of an emulated machine."""

    nodes: Literal["made", "found"] | None = None
    """``made``: the daemon makes the nodes of the virtual HBAs in the xenstore and removes them, which only domain 0 may do.
    ``found``: somebody in domain 0 does, as for a driver domain, and the daemon waits for them.  By default ``made`` in domain 0,
    and ``found`` anywhere else."""

    sg_grant: int = Field(default=128, ge=26, le=1024)
    """The most pages of one command, which front ends are told when they connect."""

    memory: Size = Field(default=64 << 20, ge=1 << 20, validate_default=True)
    """What data on its way may take for all HBAs together, in bytes: at least enough for one of the largest commands of each, for
    which there is memory at any time."""

    close_s: float = Field(default=10, ge=0, le=600)
    """How long a guest may take to let go of a virtual HBA that is taken away; then nothing is there for it,
    and 5 s later the HBA is gone all the same."""

    journal: Path | None = None
    """A folder, best in memory such as below /run, where commands that a guest waits for are kept: those of a daemon that was
    killed are done by the next one.  Without it they are only as safe as the front end makes them."""

    @property
    def machine(self) -> tuple[object, ...]:
        """What can't be changed while the transport runs: the journals neither, nor who makes the nodes."""
        return *super().machine, self.journal, self.nodes

    @field_validator("journal")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError("expected an absolute path")
        return path

    @model_validator(mode="after")
    def _memory_for_each(self) -> "XenOptions":
        least = self.sg_grant * PAGE_BYTES * max(1, len(self.portals))
        if least > self.memory:
            raise ValueError(
                f"memory: {self.memory} bytes are too little for one command of {self.sg_grant} pages of each of "
                f"{len(self.portals)} HBAs, expected at least {least}"
            )
        return self


class XenTargetOptions(Options):
    """Keys of a target whose transport is xen."""

    devices: dict[str, Annotated[int, Field(ge=0, lt=LUNS_MAX)]] = {}
    """Which LUN guests find where, as ``"host:channel:target:lun" = LUN``; others they do not find.  Without it, LUN n is
    0:0:0:n."""

    @field_validator("devices")
    @classmethod
    def _addresses(cls, devices: dict[str, int]) -> dict[str, int]:
        written = {str(VirtualDevice.parse(text)): lun for text, lun in devices.items()}
        if len(written) != len(devices):
            raise ValueError("a virtual device is there twice")
        twice = {lun for lun in devices.values() if list(devices.values()).count(lun) > 1}
        if twice:
            raise ValueError(f"LUN {min(twice)} is two virtual devices, expected one")
        return written
