"""How a logical unit identifies itself: the same after every restart, different from every other one."""

import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The names of a logical unit (INQUIRY data and the VPD pages built from them).

    :param name: as in the configuration.
    :param unique_id: 16 bytes that never change; NAA, UUID and the default serial number come from them.
    :param serial: unit serial number, printable ASCII, at most 36 characters.
    :param vendor: T10 vendor identification, at most 8 characters.
    :param product: product identification, at most 16 characters.
    :param revision: product revision level, at most 4 characters.
    """

    name: str
    unique_id: bytes
    serial: str
    vendor: str = "TGTCORE"
    product: str = "VIRTUAL-DISK"
    revision: str = "0001"

    @classmethod
    def make(cls, name: str, unique_id: bytes, **fields: str) -> "Identity":
        """An identity whose serial number defaults to the hexadecimal unique id."""
        fields.setdefault("serial", unique_id.hex())
        return cls(name, unique_id, **fields)


_SPACE = uuid.UUID("6f1c3f0e-8a52-5d6b-9f0e-2b6c8a4d1e73")


def derived_unique_id(*parts: str) -> bytes:
    """A unique id computed from names that do not change, for a logical unit that was given none."""
    return uuid.uuid5(_SPACE, "\0".join(parts)).bytes
