"""Standard INQUIRY data (SPC-5 6.7.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from tgtcore.scsi.parameters import ascii_field

_VERSION_SPC4 = 0x06
_RESPONSE_DATA_FORMAT = 0x02
_HISUP = 0x10
_MULTIP = 0x10
_CMDQUE = 0x02
_RMB = 0x80
_VERSION_DESCRIPTORS_MAX = 8
_BYTES = 96


class PeripheralQualifier(IntEnum):
    """Whether there is a logical unit (SPC-5 table 147)."""

    CONNECTED = 0
    NOT_CONNECTED = 1
    NOT_CAPABLE = 3


class VersionDescriptor(IntEnum):
    """Standards that a logical unit claims (SPC-5 annex D), without a version of them."""

    SAM_5 = 0x00A0
    ISCSI = 0x0960
    SPC_4 = 0x0460
    SPC_5 = 0x05C0
    SBC_3 = 0x04C0
    SBC_4 = 0x0600
    SRP = 0x0940


NO_DEVICE = 0x1F
"""Peripheral device type of a LUN that has no logical unit."""


@dataclass(frozen=True, kw_only=True)
class StandardInquiry:
    """The fields of standard INQUIRY data that differ between logical units.

    :param removable: the medium can be removed (RMB).
    :param several_ports: the target has more than one port (MULTIP).
    :param target_port_groups: TPGS: 1 implicit, 2 explicit, 3 both asymmetric access.
    """

    device_type: int
    vendor: str
    product: str
    revision: str
    qualifier: PeripheralQualifier = PeripheralQualifier.CONNECTED
    removable: bool = False
    several_ports: bool = False
    target_port_groups: int = 0
    third_party_copy: bool = False
    protect: bool = False
    versions: Sequence[int] = ()

    def encode(self) -> bytes:
        """96 bytes of INQUIRY data.

        :raises ValueError: a text is too long or not ASCII, or there are more than eight version descriptors.
        """
        if len(self.versions) > _VERSION_DESCRIPTORS_MAX:
            raise ValueError(f"{len(self.versions)} version descriptors, at most {_VERSION_DESCRIPTORS_MAX} fit")
        data = bytearray(_BYTES)
        data[0] = self.qualifier << 5 | self.device_type
        data[1] = _RMB if self.removable else 0
        data[2] = _VERSION_SPC4
        data[3] = _HISUP | _RESPONSE_DATA_FORMAT
        data[4] = _BYTES - 5
        data[5] = self.target_port_groups << 4 | self.third_party_copy << 3 | self.protect
        data[6] = _MULTIP if self.several_ports else 0
        data[7] = _CMDQUE
        data[8:16] = ascii_field("vendor", self.vendor, 8)
        data[16:32] = ascii_field("product", self.product, 16)
        data[32:36] = ascii_field("revision", self.revision, 4)
        for number, version in enumerate(self.versions):
            data[58 + 2 * number : 60 + 2 * number] = version.to_bytes(2, "big")
        return bytes(data)


def no_device_inquiry() -> bytes:
    """INQUIRY data of a LUN without a logical unit that the target could support (SPC-5 6.7.2: 7Fh)."""
    return StandardInquiry(
        device_type=NO_DEVICE, vendor="", product="", revision="", qualifier=PeripheralQualifier.NOT_CAPABLE
    ).encode()
