"""The configuration keys of virtual SCSI and of its targets."""

import re
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from tgtcore_srp.iu.descriptors import TABLES_BYTES_MAX

from tgtcore import Options, PlatformOptions, Size
from tgtcore_ibmvio.addressing import VirtualDevice
from tgtcore_ibmvio.clients import CLIENTS, ClientKind, InquiryForm, ReportLunsForm
from tgtcore_ibmvio.platform.emulated.options import EmulatedOptions
from tgtcore_ibmvio.platform.qemu_pseries.options import QemuPseriesOptions

IU_BYTES_MAX = 256
"""The longest information unit: what every client asks for."""

_SPARE_REQUESTS = 8
"""Beyond the credits: what is kept for requests that are not promised."""

LUNS_MAX = 1 << 14
_UNIT_ADDRESS = re.compile(r"(?:0[xX])?([0-9a-fA-F]{1,8})")


def unit_address(value: Any) -> str:
    """A unit address as 8 hexadecimal digits.

    :raises ValueError: it is none.  A number is none: it could be meant in hexadecimal, and would be read as decimal.
    """
    found = _UNIT_ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            f'{value!r:.40} is no unit address, expected up to 8 hexadecimal digits in quotes, such as "30000003"'
        )
    return found[1].lower().rjust(8, "0")


def _adapter_name(value: Any) -> Any:
    """A unit address in one form, however it was written; a location code as it stands."""
    return unit_address(value) if not isinstance(value, str) or _UNIT_ADDRESS.fullmatch(value) else value


AdapterName = Annotated[str, BeforeValidator(_adapter_name), Field(min_length=1, max_length=80)]


class AdapterOptions(Options):
    """One adapter: what a portal is to this transport."""

    address: Annotated[str, BeforeValidator(unit_address)]
    """Its unit address in the device tree of this partition, in hexadecimal, such as ``30000003``."""

    location: str | None = Field(default=None, min_length=1, max_length=80, pattern=r"^[!-~]+$")
    """Its location code, such as ``U9117.MMA.1023456-V1-C3``: another name for it, and a part of the addresses of its devices."""

    group: int = Field(default=1, ge=1, le=65535)
    """Target port group of its port."""

    def has(self, name: str) -> bool:
        """Whether this is its unit address or location code."""
        return name in (self.address, self.location)


class IbmvioOptions(PlatformOptions):
    """Keys of ``[transports.ibmvio]``."""

    table: ClassVar[str] = "transports.ibmvio"

    portals: tuple[AdapterOptions, ...] = ()
    """The adapters that are served."""

    platform: Literal["emulated", "qemu_pseries"] = "emulated"
    """The machine that the adapters are of; its own keys are in the table of its name."""

    emulated: EmulatedOptions | None = None
    """Keys of emulated partitions."""

    qemu_pseries: QemuPseriesOptions | None = None
    """Keys of a pSeries guest of QEMU."""

    partition: str = Field(default="tgtcore", min_length=1, max_length=95, pattern=r"^[!-~]+$")
    """Name of this partition, which clients are told."""

    partition_number: int = Field(default=1, ge=1, le=65535)
    """Number of this partition, which clients are told."""

    credits: int = Field(default=64, ge=8, le=1024)
    """Requests that one client may have unanswered: its request limit.  There is memory for all of them before it is told."""

    memory: Size = Field(default=64 << 20, ge=1 << 20, validate_default=True)
    """What all adapters may hold together, for requests and for data on its way, in bytes: at least enough for all requests and one
    transfer of each adapter, which it always has."""

    transfer_max: Size = Field(default=1 << 20, ge=4096, le=16 << 20, validate_default=True)
    """The most data of one command, which clients are told, in bytes; more is refused."""

    ping_interval_s: float = Field(default=30, ge=0, le=3600)
    """How often clients are pinged that have a session and know pings, as those of AIX do; 0: never."""

    @model_validator(mode="after")
    def _memory_for_each(self) -> "IbmvioOptions":
        each = (self.credits + _SPARE_REQUESTS) * IU_BYTES_MAX + self.transfer_max + TABLES_BYTES_MAX
        least = each * max(1, len(self.portals))
        if least > self.memory:
            raise ValueError(
                f"memory: {self.memory} bytes are too little for {self.credits} credits and one transfer of {self.transfer_max} "
                f"bytes of each of {len(self.portals)} adapters, expected at least {least}"
            )
        return self


class IbmvioTargetOptions(Options):
    """Keys of a target whose transport is ibmvio."""

    adapters: tuple[AdapterName, ...] = Field(min_length=1)
    """The adapters that lead to it, by unit address or location code; each leads to one target."""

    client: Literal["linux", "aix"] = "linux"
    """What its clients run, for which the keys below have their defaults."""

    devices: dict[str, Annotated[int, Field(ge=0, lt=LUNS_MAX)]] = {}
    """Which LUN is which virtual device, as ``"bus:target:lun" = LUN``; others are not there.  Without it, LUN 0 is 0:0:0, LUN 1 is
    0:0:1 and so on up to 31; LUN 256 is 0:1:0."""

    report_luns: ReportLunsForm | None = None
    """``peripheral``: REPORT LUNS names what the virtual target has that was asked; ``logical_unit``: everything, by bus, target
    and LUN."""

    inquiry: InquiryForm | None = None
    """``own``: INQUIRY has each logical unit's own names; ``aix``: the names by which AIX knows virtual devices."""

    underrun_as_over: bool | None = None
    """Whether a transfer that was shorter than expected is told with the flags of one that was longer: the ``ibmvscsi`` driver of
    Linux looks at no others."""

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

    @property
    def kind(self) -> ClientKind:
        """How its clients are served."""
        chosen = {
            "report_luns": self.report_luns,
            "inquiry": self.inquiry,
            "underrun_as_over": self.underrun_as_over,
        }
        return replace(CLIENTS[self.client], **{key: value for key, value in chosen.items() if value is not None})  # type: ignore[arg-type]
