"""Which LUN a guest reaches at which virtual device, while that is about to be another one."""

from collections.abc import Mapping
from contextlib import suppress

from tgtcore_xen.hba.devices import Devices, VirtualDevice
from tgtcore_xen.xenbus.observed import Observed

_EARLY_S = 0.01
"""A timer may be early by so much."""


class Addressing:
    """What the guest has leads to where it did, for a while: it may write caches back.  After that it leads nowhere.

    So nothing that a guest sends to a disk comes to another one which has its address by now, and no guest keeps by standing still
    what was taken away from it.

    :param target: name of the target.
    :param mapping: the option ``devices`` of the target.
    """

    def __init__(self, target: str, mapping: Mapping[str, int]) -> None:
        self.mapping = mapping
        """May be replaced."""
        self._target = target
        self._in_use: dict[VirtualDevice, int] = {}
        self._since: dict[VirtualDevice, float] = {}
        """When those were first seen to be in use that are to lead elsewhere, or nowhere."""

    def follow(self, observed: Observed) -> bool:
        """The nodes were looked at; whether the guest has other virtual devices than before."""
        before, self._in_use = self._in_use, {}
        for device in observed.devices.values():
            target, _, lun = device.name.rpartition(":")
            if device.is_in_use and target == self._target and lun.isascii() and lun.isdecimal():
                with suppress(ValueError):  # a tool may have left anything
                    self._in_use[VirtualDevice.parse(device.address)] = int(lun)
        return before != self._in_use

    def devices(self, now: float, within_s: float) -> tuple[Devices, bool]:
        """What the front end is to reach; whether to ask again after that time.

        :param within_s: how long a guest may take to let go.
        """
        wanted = Devices(self.mapping)
        before, self._since = self._since, {}
        reached: dict[VirtualDevice, int | None] = {}
        for device, lun in self._in_use.items():
            if wanted.lun_of(*device[1:]) != lun:
                since = self._since[device] = before.get(device, now)
                reached[device] = lun if now + _EARLY_S < since + within_s else None
        return Devices(self.mapping, reached), bool(self._since.keys() - before.keys())
