"""LUN addressing of virtual SCSI: bus, target and LUN in the 14 bits of the logical unit addressing method (SAM-5 4.7.7.4)."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from tgtcore_srp.quirks import NO_LUN

from tgtcore.scsi.lun import InvalidLun, Method, decode_lun, encode_lun

_LEVEL_SHIFT = 48
_METHOD_SHIFT = 14
_NUMBER = (1 << _METHOD_SHIFT) - 1
_TARGET_SHIFT, _BUS_SHIFT = 8, 5
_WRITTEN = re.compile(r"(\d):(\d{1,2}):(\d{1,2})", re.ASCII)
_REMEMBERED_MAX = 1024

BUS_MAX, TARGET_MAX, LUN_MAX = 7, 63, 31


class VirtualDevice(NamedTuple):
    """Where a client finds a logical unit.

    :param bus: 0 to 7.
    :param target: 0 to 63.
    :param lun: 0 to 31.
    """

    bus: int
    target: int
    lun: int

    def __str__(self) -> str:
        return f"{self.bus}:{self.target}:{self.lun}"

    @classmethod
    def parse(cls, text: str) -> "VirtualDevice":
        """From ``bus:target:lun``.

        :raises ValueError: it is something else; the message says what is expected.
        """
        found = _WRITTEN.fullmatch(text)
        device = cls(*map(int, found.groups())) if found else None
        if device is None or device.bus > BUS_MAX or device.target > TARGET_MAX or device.lun > LUN_MAX:
            raise ValueError(
                f'"{text:.40}" is no virtual device, expected bus:target:lun, from "0:0:0" to "{BUS_MAX}:{TARGET_MAX}:{LUN_MAX}"'
            )
        return device

    @classmethod
    def numbered(cls, number: int) -> "VirtualDevice":
        """From the 14 bits of a LUN field."""
        return cls(number >> _BUS_SHIFT & BUS_MAX, number >> _TARGET_SHIFT, number & LUN_MAX)

    @property
    def number(self) -> int:
        """The 14 bits in a LUN field."""
        return self.target << _TARGET_SHIFT | self.bus << _BUS_SHIFT | self.lun

    @property
    def field(self) -> bytes:
        """The whole LUN field as clients write it."""
        return (Method.LOGICAL_UNIT << _METHOD_SHIFT | self.number).to_bytes(2, "big") + bytes(6)


class VirtualDevices:
    """Which LUN of a target is which virtual device.

    :param devices: LUN by virtual device; empty: the 14 bits of the virtual device are the LUN.
    """

    def __init__(self, devices: Mapping[str, int]) -> None:
        self._luns = {VirtualDevice.parse(text).number: lun for text, lun in devices.items()}
        self._numbers = {lun: number for number, lun in self._luns.items()}

    def lun_of(self, number: int) -> int | None:
        """The LUN that a virtual device is; None: there can be none."""
        return self._luns.get(number) if self._luns else number

    def addressed(self, field: int) -> VirtualDevice | None:
        """The virtual device that a field means which was made by :class:`LunFields`; None: none, but a well known logical unit."""
        first = field >> _LEVEL_SHIFT
        if first >> _METHOD_SHIFT == Method.LOGICAL_UNIT:
            return VirtualDevice.numbered(first & _NUMBER)
        try:
            return self.device_of(decode_lun(field.to_bytes(8, "big")))
        except InvalidLun:
            return None

    def device_of(self, lun: int) -> VirtualDevice | None:
        """The virtual device that a LUN is; None: clients can't address it."""
        number = self._numbers.get(lun) if self._luns else lun
        return None if number is None else VirtualDevice.numbered(number)


class LunFields(dict[int, int]):
    """LUN field as clients write it → field as the core understands it: look up with ``[]``, every field has an answer.

    Clients write the logical unit addressing method; the others are understood too, for tools and for firmware.  A virtual device
    that is not there keeps that method, in which the core finds nothing.
    """

    def __init__(self, devices: VirtualDevices) -> None:
        super().__init__()
        self._devices = devices

    def __missing__(self, field: int) -> int:
        """A field that was not seen yet; what a client may invent is not remembered without bound."""
        meant = self._meant(field)
        if meant != NO_LUN and len(self) < _REMEMBERED_MAX:
            self[field] = meant
        return meant

    def _meant(self, field: int) -> int:
        first = field >> _LEVEL_SHIFT
        if first >> _METHOD_SHIFT == Method.EXTENDED:
            return field  # well known logical units
        if field & (1 << _LEVEL_SHIFT) - 1:
            return NO_LUN
        number = first & _NUMBER
        lun = self._devices.lun_of(number)
        return int.from_bytes(VirtualDevice.numbered(number).field if lun is None else encode_lun(lun), "big")
