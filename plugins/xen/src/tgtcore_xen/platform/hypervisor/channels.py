"""Event channels through ``/dev/xen/evtchn``."""

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress

from tgtcore_xen.platform.contract import Channel, EventChannels
from tgtcore_xen.platform.hypervisor.device import BIND, ENDS, NOTIFY, PORT, RESET, UNBIND, Device

_READ_BYTES = 4096


class DeviceChannels(EventChannels):
    """See the contract.

    A port that has been read is masked until it is written back: what comes meanwhile comes together.

    :param device: ``/dev/xen/evtchn``.
    """

    def __init__(self, device: Device, loop: asyncio.AbstractEventLoop) -> None:
        self._device = device
        self._loop = loop
        self._channels: dict[int, _DeviceChannel] = {}
        loop.add_reader(device.descriptor, self._readable)

    def close(self) -> None:
        """Once."""
        self._loop.remove_reader(self._device.descriptor)
        self._channels.clear()
        self._device.close()

    def bind(self, domid: int, remote_port: int, told: Callable[[], None]) -> Channel:
        """Be the other end of a guest's unbound event channel."""
        try:
            port = self._device.call(BIND, bytearray(ENDS.pack(domid, remote_port)))
        except OSError as error:
            raise OSError(error.errno, f"domain {domid} offers us no event channel {remote_port}") from error
        channel = self._channels[port] = _DeviceChannel(self, port, told)
        return channel

    def notify(self, port: int) -> None:
        """Wake the other end of one of our ports up."""
        with suppress(OSError):
            self._device.call(NOTIFY, bytearray(PORT.pack(port)))

    def unbind(self, port: int) -> None:
        """Give one of our ports up."""
        if self._channels.pop(port, None) is not None:
            self._device.call(UNBIND, bytearray(PORT.pack(port)))

    def _readable(self) -> None:
        try:
            ports = self._device.read(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            # More came than the kernel kept: anybody may have been meant.
            self._device.call(RESET, bytearray())
            ports = b"".join(map(PORT.pack, self._channels))
        try:
            for (port,) in PORT.iter_unpack(ports):
                channel = self._channels.get(port)
                if channel is not None:
                    self._tell(channel)
        finally:
            self._device.write(ports)

    def _tell(self, channel: "_DeviceChannel") -> None:
        try:
            channel.told()
        except Exception as error:
            self._loop.call_exception_handler({"message": "at an event of a guest", "exception": error})


class _DeviceChannel:
    """One of our ports."""

    def __init__(self, channels: DeviceChannels, port: int, told: Callable[[], None]) -> None:
        self._channels = channels
        self._open = True
        self.port = port
        self.told = told

    def notify(self) -> None:
        """Wake the other end up."""
        if self._open:
            self._channels.notify(self.port)

    def close(self) -> None:
        """Be told nothing any more."""
        if self._open:
            self._open = False
            self._channels.unbind(self.port)
