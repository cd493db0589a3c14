"""Which LUN of a target a guest finds where: ``h:c:t:l``, host, channel, target and LUN."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_WRITTEN = re.compile(r"(\d{1,5}):(\d{1,2}):(\d{1,3}):(\d{1,5})", re.ASCII)

CHANNEL_MAX, TARGET_MAX, LUN_MAX = 0, 63, 254
"""What the front end of Linux scans (VSCSIIF_MAX_TARGET and VSCSIIF_MAX_LUN of ``xen/include/public/io/vscsiif.h``)."""


class VirtualDevice(NamedTuple):
    """Where a guest finds a logical unit.

    :param host: means nothing to the guest; 0.
    :param channel: 0.
    :param target: 0 to 63.
    :param lun: 0 to 254.
    """

    host: int
    channel: int
    target: int
    lun: int

    def __str__(self) -> str:
        return ":".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> "VirtualDevice":
        """From ``h:c:t:l``.

        :raises ValueError: it is something else; the message says what is expected.
        """
        found = _WRITTEN.fullmatch(text)
        device = cls(*map(int, found.groups())) if found else None
        if device is None or not device._fits():
            raise ValueError(
                f'"{text:.40}" is no virtual device, expected host:channel:target:lun, from "0:0:0:0" to '
                f'"0:{CHANNEL_MAX}:{TARGET_MAX}:{LUN_MAX}"'
            )
        return device

    def _fits(self) -> bool:
        host, channel, target, lun = self
        return not host and channel <= CHANNEL_MAX and target <= TARGET_MAX and lun <= LUN_MAX


class Nowhere:
    """The virtual devices of a guest that has to let go: there are none."""

    def lun_of(self, channel: int, target: int, lun: int) -> None:
        """No LUN at all."""


class Devices:
    """Which LUN of a target is which virtual device.

    :param devices: LUN by virtual device; empty: LUN n is ``0:0:0:n``.
    :param reached: those that lead elsewhere for now, or nowhere.
    """

    def __init__(self, devices: Mapping[str, int], reached: "Mapping[VirtualDevice, int | None] | None" = None) -> None:
        self._devices = {lun: VirtualDevice.parse(text) for text, lun in devices.items()}
        self._luns: dict[tuple[int, ...], int | None] = {device[1:]: lun for lun, device in self._devices.items()} or {
            (0, 0, lun): lun for lun in range(LUN_MAX + 1)
        }
        for device, reaches in (reached or {}).items():
            self._luns[device[1:]] = reaches

    def lun_of(self, channel: int, target: int, lun: int) -> int | None:
        """The LUN that a request is for, whether it is mapped or not; None: there can be no such virtual device."""
        return self._luns.get((channel, target, lun))

    def device_of(self, lun: int) -> VirtualDevice | None:
        """The virtual device that a LUN is; None: guests can't address it."""
        if self._devices:
            return self._devices.get(lun)
        return VirtualDevice(0, 0, 0, lun) if lun <= LUN_MAX else None

    def devices_of(self, luns: Iterable[int]) -> dict[VirtualDevice, int]:
        """The LUNs that a guest can address, by virtual device."""
        return {device: lun for lun in luns if (device := self.device_of(lun)) is not None}
