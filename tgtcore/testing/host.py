"""The core as a transport meets it: a host with one target, a small device and everything that transports ask for."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from tgtcore.device import DeviceType, command
from tgtcore.device.absent import answer_absent
from tgtcore.errors import CheckCondition, TgtError
from tgtcore.logical_unit import Identity, LogicalUnit
from tgtcore.logical_unit.identity import derived_unique_id
from tgtcore.nexus import InitiatorPort, Nexus, TargetPort
from tgtcore.options import NoOptions
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.target import Target
from tgtcore.task import PENDING, State, Task
from tgtcore.testing.initiator import forget_attentions
from tgtcore.transport import Account

_NUMBERS = 1 << 16
_LOW = b"".join(number.to_bytes(4, "big") for number in range(_NUMBERS))
_made = bytearray()
"""As much of :func:`content` as was asked for: to count up to 16 MiB takes longer than all the rest of a test."""


def content(length: int) -> bytes:
    """What the tested device's READ gives: bytes in which nothing repeats soon."""
    while len(_made) < length:
        high = (len(_made) // len(_LOW)).to_bytes(2, "big")
        more = bytearray(_LOW)
        more[0::4], more[1::4] = high[:1] * _NUMBERS, high[1:] * _NUMBERS
        _made.extend(more)
    return bytes(memoryview(_made)[:length])


def read(length: int) -> bytes:
    """The CDB of a READ of so many bytes."""
    return b"\x28\0" + bytes(4) + length.to_bytes(3, "big") + b"\0"


def write(length: int) -> bytes:
    """The CDB of a WRITE of so many bytes."""
    return b"\x2a\0" + bytes(4) + length.to_bytes(3, "big") + b"\0"


READY, REFUSED, HELD = bytes(6), b"\x1d" + bytes(5), b"\x35" + bytes(9)
"""CDBs of a command that does nothing, one that is always refused, and one that goes on until it is released."""


def _wanted(device: Any, task: Task) -> int:
    return int.from_bytes(task.cdb[6:9], "big")


class SmallDevice(DeviceType):
    """Few commands, each for one thing that a transport does."""

    code = 0x1F
    needs_store = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.written = b""
        self.held: list[Task] = []
        self.hangs = False
        """Whether a write goes on until :meth:`release`."""

    @command(0x00, "00 00 00 00 00 00")
    def test_unit_ready(self, task: Task) -> None:
        """Nothing."""

    @command(0x1D, "1D 00 00 00 00 00")
    def send_diagnostic(self, task: Task) -> None:
        """Always refused."""
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB, field=(1, 2))

    @command(0x28, "28 00 FF FF FF FF FF FF FF 00")
    def read(self, task: Task) -> None:
        """Give :func:`content`."""
        task.data_in = content(_wanted(self, task))

    @command(0x2A, "2A 00 FF FF FF FF FF FF FF 00", wants=_wanted)
    def write(self, task: Task) -> Any:
        """Keep the data-out."""
        self.written = bytes(task.data_out or b"")
        return self.synchronize_cache(task) if self.hangs else None

    @command(0x35, "35 00 00 00 00 00 00 00 00 00")
    def synchronize_cache(self, task: Task) -> Any:
        """Go on until :meth:`release`."""
        self.held.append(task)
        return PENDING

    def release(self) -> None:
        """End what is held."""
        for task in self.held:
            if task.state is not State.ENDED:
                task.complete()
        self.held.clear()


class TestHost:
    """A :class:`~tgtcore.transport.Host` with one target, which has a :class:`SmallDevice` as LUN 0 and another as LUN 1.

    :param transport: the transport's registered name.
    :param options: the transport's options for the target.
    """

    __test__ = False

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: str, target: str, options: Any = None) -> None:
        self._loop = loop
        self.target = Target(target, 1, transport, options or NoOptions())
        self.lus: list[LogicalUnit] = []
        self.accounts: dict[str, Account] = {}
        self.admitted = True
        self.failure: TgtError | None = None
        """What opening a nexus raises."""
        self.inheritance: dict[str, socket.socket] = {}
        """Sockets that listen already, by what is asked for."""
        for lun in range(2):
            identity = Identity.make(f"lu{lun}", derived_unique_id("host", str(lun)))
            self.lus.append(LogicalUnit(identity, SmallDevice, None, NoOptions()))
            self.target.map(lun, self.lus[lun])

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        return self._loop

    def device(self, lun: int) -> SmallDevice:
        """The device of a LUN."""
        found = self.lus[lun].device
        assert isinstance(found, SmallDevice)
        return found

    def targets(self) -> Iterable[Target]:
        """The target."""
        return [self.target]

    def find_target(self, name: str) -> Target | None:
        """The target, if it has that name."""
        return self.target if name == self.target.name else None

    def account(self, name: str) -> Account | None:
        """One of ``accounts``."""
        return self.accounts.get(name)

    def admits(self, target: Target, initiator_port: InitiatorPort, portal: str) -> bool:
        """What ``admitted`` says."""
        return self.admitted

    def inherited(self, address: str) -> socket.socket | None:
        """One of ``inheritance``, once."""
        return self.inheritance.pop(address, None)

    def open_nexus(self, target: Target, initiator_port: InitiatorPort, target_port: TargetPort) -> Nexus:
        """Open a nexus without power on attentions; raise ``failure`` if there is one."""
        if self.failure is not None:
            raise self.failure
        nexus = Nexus(target, initiator_port, target_port, lambda lu: lu.filtered(lu.commands), answer_absent)
        target.check_ended(nexus.identity)
        target.nexus_opened(nexus)
        forget_attentions(nexus)
        return nexus

    def check_quiet(self) -> None:
        """Nothing is in use any more, and each command has ended.

        :raises AssertionError: names who is left.
        """
        for leases in (self.target.leases, *(lu.leases for lu in self.lus)):
            assert not len(leases), f"{leases.what} is in use by {', '.join(map(str, leases.holders()))}"
        for lu in self.lus:
            assert lu.accepted == lu.ended, f"{lu}: {lu.accepted} commands were accepted, {lu.ended} have ended"
