"""A logical unit and its initiators in memory: run CDBs against a device type without a transport."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tgtcore.device import CommandTable, DeviceType
from tgtcore.device.absent import answer_absent
from tgtcore.logical_unit import Identity, LogicalUnit
from tgtcore.logical_unit.identity import derived_unique_id
from tgtcore.loop import Workers
from tgtcore.nexus import Census, InitiatorPort, Nexus, TargetPort
from tgtcore.options import NoOptions
from tgtcore.scsi.lun import encode_lun
from tgtcore.scsi.sense import Sense, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.store import OpenStore, Region, Store
from tgtcore.target import Target
from tgtcore.task import Attribute, State, Task

_DEADLINE_S = 20
_ISCSI = 5


@dataclass(frozen=True)
class Result:
    """How a command ended, as the initiator sees it.

    :param data: data-in, not more than the initiator had room for.
    :param sense_bytes: sense data as sent; see ``sense``.
    :param residual: bytes the initiator had room for or offered and that were not used; negative: the command had more.
    """

    status: Status
    data: bytes = b""
    sense_bytes: bytes = b""
    residual: int = 0

    @property
    def sense(self) -> Sense:
        """The decoded sense data.

        :raises ParameterError: there is none.
        """
        return parse_sense(self.sense_bytes)

    @property
    def code(self) -> tuple[int, int, int]:
        """Sense key, additional sense code and qualifier; (0, 0, 0) without sense data."""
        return (self.sense.key, *self.sense.code) if self.sense_bytes else (0, 0, 0)


class MemoryTask(Task):
    """A task whose initiator and transport are in this process."""

    def __init__(
        self, nexus: Nexus, lun: int, tag: int, attribute: int, cdb: bytes, data_out: bytes, room: int
    ) -> None:
        super().__init__(nexus, lun, tag, attribute, cdb, len(data_out), room)
        self.offered = data_out
        self.result: Result | None = None
        self.held = False

    def want_data(self) -> None:
        """Give all that is wanted at once, unless the test holds the data back."""
        if not self.held:
            self.give_data()

    def give_data(self) -> None:
        """The initiator's data-out arrives."""
        self.data_out = self.offered[: min(self.wanted_out, self.expected_out)]
        self.data_arrived()

    def done(self) -> None:
        """Make the result."""
        if not self.responds:
            return
        data = _content(self.data_in)
        offered, used = (self.expected_out, self.wanted_out) if self.offered else (self.expected_in, len(data))
        self.result = Result(Status(self.status), data[: self.expected_in], bytes(self.sense), offered - used)


def _content(data_in: Any) -> bytes:
    if data_in is None:
        return b""
    if isinstance(data_in, Region):
        return os.pread(data_in.fd, data_in.length, data_in.offset)
    return bytes(data_in)


def forget_attentions(nexus: Nexus) -> None:
    """Clear what is pending at every logical unit of a nexus."""
    for lun in nexus.luns():
        itl = nexus.itl(lun)
        assert itl is not None
        itl.attentions = ()


class Initiator:
    """An initiator port with a nexus to the target of a :class:`Bench`.

    :param attentions: False clears the power on attention, as any initiator does first.
    """

    def __init__(self, bench: "Bench", name: str, port: TargetPort, *, attentions: bool = False) -> None:
        self.bench = bench
        self._tag = 0
        transport_id = _transport_id(name)
        self.nexus = Nexus(
            bench.target, InitiatorPort(name, transport_id, "127.0.0.1"), port, bench.table, answer_absent, bench.census
        )
        bench.target.nexus_opened(self.nexus)
        if not attentions:
            forget_attentions(self.nexus)

    def start(
        self,
        cdb: bytes | str,
        data_out: bytes = b"",
        data_in: int = 0,
        *,
        lun: int | bytes = 0,
        attribute: int = Attribute.SIMPLE,
        held: bool = False,
    ) -> MemoryTask:
        """Submit a command and return its task, which may have ended already.

        :param cdb: bytes or hexadecimal, padded with zeroes to 16 bytes.
        :param held: keep the data-out back until ``task.give_data()``.
        """
        raw = bytes.fromhex(cdb) if isinstance(cdb, str) else cdb
        field = int.from_bytes(encode_lun(lun) if isinstance(lun, int) else lun, "big")
        self._tag += 1
        task = MemoryTask(self.nexus, field, self._tag, attribute, raw.ljust(16, b"\0"), data_out, data_in)
        task.held = held
        self.nexus.submit(task)
        return task

    def execute(
        self,
        cdb: bytes | str,
        data_out: bytes = b"",
        data_in: int = 65536,
        *,
        lun: int | bytes = 0,
        attribute: int = Attribute.SIMPLE,
    ) -> Result:
        """Run a command to its end; see :meth:`start`."""
        return self.finish(self.start(cdb, data_out, 0 if data_out else data_in, lun=lun, attribute=attribute))

    def finish(self, task: MemoryTask) -> Result:
        """Wait until a task has ended, and return what the initiator hears.

        :raises TimeoutError: it does not end in time.
        """
        self.bench.run_until(lambda: task.state is State.ENDED, str(task))
        if task.result is None:
            raise AssertionError(f"{task} was aborted and has no response")
        return task.result

    def logout(self) -> None:
        """Close the nexus and wait until it is gone."""
        self.bench.close_nexus(self.nexus)


class Bench:
    """One target with logical units, and the loop and threads that they need; use :func:`bench`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self.loop = loop
        self.workers = Workers(threads, loop)
        self.target = Target("iqn.2025-01.example:bench", 1, "memory", NoOptions())
        self.ports = [TargetPort(f"{self.target.name},t,0x{number:04x}", number, number, _ISCSI) for number in (1, 2)]
        self.census = Census()
        """Counts what the logical units remember of nexuses; another one counts for initiators that log in from then on."""
        self.lus: list[LogicalUnit] = []

    def add(
        self,
        device_type: type[DeviceType],
        store: Store | None = None,
        options: BaseModel | None = None,
        *,
        lun: int | None = None,
        read_only: bool = False,
        **identity: str,
    ) -> LogicalUnit:
        """Make a logical unit and map it at the next LUN."""
        number = len(self.lus) if lun is None else lun
        name = f"lu{number}"
        opened = None if store is None else OpenStore(name, store, self.workers, read_only=read_only)
        names = Identity.make(name, derived_unique_id("bench", name), **identity)
        lu = LogicalUnit(names, device_type, opened, options or device_type.Options())
        self.lus.append(lu)
        self.target.map(number, lu)
        return lu

    def initiator(
        self, name: str = "iqn.2025-01.example:host", *, port: int = 0, attentions: bool = False
    ) -> Initiator:
        """Log an initiator in.

        :param port: index of the target port.
        :param attentions: leave the power on attentions pending.
        """
        return Initiator(self, name, self.ports[port], attentions=attentions)

    def table(self, lu: LogicalUnit) -> CommandTable:
        """The opcode table of a logical unit; this transport amends nothing."""
        return lu.filtered(lu.commands)

    def run_until(self, true: Any, what: str) -> None:
        """Turn the loop until ``true()``.

        :raises TimeoutError: it does not come true in time; ``what`` is in the message.
        """
        deadline = self.loop.time() + _DEADLINE_S
        while not true():
            if self.loop.time() > deadline:
                raise TimeoutError(f"{what} did not come to its end in {_DEADLINE_S} s")
            self.loop.run_until_complete(asyncio.sleep(0.0002))

    def close_nexus(self, nexus: Nexus) -> None:
        """Close a nexus and wait until its last task has ended."""
        gone: list[bool] = []
        nexus.close(lambda: gone.append(True))
        self.run_until(lambda: bool(gone), str(nexus))

    def close(self) -> None:
        """Log everyone out and close everything; every command must have ended.

        :raises AssertionError: something is still in use.
        """
        for nexus in list(self.target.nexuses):
            self.close_nexus(nexus)
        self.workers.close()
        assert self.workers.join(_DEADLINE_S), "a worker thread hangs"
        for lu in self.lus:
            assert lu.accepted == lu.ended, f"{lu}: {lu.accepted} tasks were accepted, {lu.ended} ended"
            lu.close()
            if lu.store is not None:
                lu.store.close()


@contextmanager
def bench(threads: int = 4) -> Iterator[Bench]:
    """A bench with an event loop of its own; at its end nothing may be in use any more."""
    loop = asyncio.new_event_loop()
    made = Bench(loop, threads)
    try:
        yield made
        made.close()
    finally:
        made.workers.close()
        loop.close()


def _transport_id(name: str) -> bytes:
    """The TransportID of an iSCSI initiator port (SPC-5 7.6.4.6)."""
    text = f"{name},i,0x400001370000".encode()
    body = text + bytes(4 - len(text) % 4)
    return b"\x45\0" + len(body).to_bytes(2, "big") + body
