"""Descriptor tables that are not in their command but in the initiator's memory (SRP 5.6.3)."""

from typing import TYPE_CHECKING

from tgtcore.scsi.status import Status
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor, parse_table
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.transfers import DATA_PHASE_ERROR

if TYPE_CHECKING:
    from tgtcore_srp.commands import Commands
    from tgtcore_srp.fabric import Segment
    from tgtcore_srp.slots import Slot


def _fetched(command: Command) -> "list[tuple[bool, BufferDescriptor, Segment]]":
    """The buffers whose table is to be fetched: whether it is the one of data-out, descriptor and table."""
    buffers = (True, command.data_out), (False, command.data_in)
    return [(out, one, one.table) for out, one in buffers if one is not None and one.table and not one.complete]


def table_bytes(command: Command) -> int:
    """How long the tables are together that a command does not bring along."""
    return sum(table.length for _, _, table in _fetched(command))


class Tables:
    """Fetches the tables of one command at a time; while that goes on, what comes behind it waits."""

    def __init__(self, commands: "Commands") -> None:
        self._commands = commands
        self._pending: tuple[Slot, Command, int] | None = None
        self._buffer = bytearray()

    def fetch(self, slot: "Slot", command: Command, held: int) -> None:
        """Fetch the tables of a command, then submit it.

        :param held: what it has taken of the memory.
        """
        self._pending = slot, command, held
        if not self._go_on():
            self._commands.channel.hold()

    def _go_on(self) -> bool:
        """Fetch the next table, if there is one; False when that is not over yet."""
        assert self._pending is not None
        slot, command, held = self._pending
        for _, _, table in _fetched(command):
            buffer = self._commands.channel.memory.buffer(table.length)
            if buffer is None:
                self._refuse(Status.BUSY, b"")
                return True
            self._buffer = buffer
            moved = self._commands.channel.fabric.read((table,), memoryview(buffer), self._moved)
            if moved is None:
                return False
            return self._take(moved)
        self._pending = None
        self._commands.submit(slot, command, held)
        return True

    def _moved(self, ok: bool) -> None:
        """What had to go on is over."""
        if self._pending is not None and self._take(ok):
            self._commands.channel.go_on()

    def _take(self, ok: bool) -> bool:
        """Read the table that has come; False when another one does not come at once."""
        if self._pending is None:
            return True  # the channel was lost at that
        slot, command, held = self._pending
        if not ok or self._commands.closed:
            self._refuse(*DATA_PHASE_ERROR)
            return True
        is_out, buffer, _ = _fetched(command)[0]
        try:
            segments = parse_table(self._buffer, buffer.length)
        except Malformed as error:
            self._give_up()
            self._commands.malformed(slot, error)
            return True
        whole = buffer._replace(segments=segments, table=None)
        command = command._replace(data_out=whole) if is_out else command._replace(data_in=whole)
        self._pending = slot, command, held
        return self._go_on()

    def _refuse(self, status: int, sense: bytes) -> None:
        slot, command = self._give_up()
        self._commands.refuse(slot, command.tag, status, sense, command.solicited)

    def _give_up(self) -> "tuple[Slot, Command]":
        assert self._pending is not None
        slot, command, held = self._pending
        self._pending = None
        self._commands.share.give(held)
        return slot, command

    def lost(self) -> None:
        """Nothing comes any more."""
        if self._pending is not None:
            self._refuse(Status.BUSY, b"")
