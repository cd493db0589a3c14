"""The opcode table: how a device type says which commands it has.

Each handler carries its :class:`Command`.  Dispatch, the CDB checks, reservation conflicts and REPORT SUPPORTED OPERATION
CODES all read the same table, so a command that is not there can't be advertised, and one that is there can't be forgotten.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from tgtcore.reservations import ReservationClass

if TYPE_CHECKING:
    from tgtcore.task import Task

Handler = Callable[[Any, "Task"], Any]
"""``handler(device, task)``: a method of a device type, not bound to one device."""
_H = TypeVar("_H", bound=Callable[..., Any])

VARIABLE_LENGTH = 0x7F

CDB_BYTES_MIN = 16
"""Transports pad shorter CDBs with zeroes to this length."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One entry of an opcode table.

    :param opcode: byte 0 of the CDB.
    :param service_action: for opcodes that have them, else None.
    :param usage: the CDB usage data (SPC-5 6.35.3): the opcode (and service action) as they are, in every other place a 1 for
        each bit that the command looks at.  Its length is the length of the CDB.
    :param reservation: what reservations of other nexuses do to it.
    :param wants: how many bytes of data-out the CDB asks for, after checking the CDB; None: no data-out.
    :param passes_attention: whether it runs although a unit attention is pending (SPC-5 5.14).
    :param timeout_s: recommended command timeout, reported to initiators.
    :param feature: a name that the device type looks up per logical unit; without it the command is absent there.
    """

    opcode: int
    service_action: int | None
    usage: bytes
    reservation: ReservationClass
    wants: Callable[[Any, "Task"], int] | None = None
    passes_attention: bool = False
    timeout_s: int = 30
    feature: str | None = None
    name: str = ""

    @cached_property
    def reserved_bits(self) -> int:
        """Bits of the CDB, padded to 16 bytes, that must be zero, as one big-endian number."""
        used = bytearray(self.usage)
        used[0] = 0xFF
        if self.service_action is not None:
            used[_action_byte(self.opcode)] |= 0x1F if self.opcode != VARIABLE_LENGTH else 0xFF
        free = bytes(byte ^ 0xFF for byte in used)
        return int.from_bytes(free.ljust(CDB_BYTES_MIN, b"\0"), "big")


def _action_byte(opcode: int) -> int:
    return 9 if opcode == VARIABLE_LENGTH else 1


def command(
    opcode: int,
    usage: str,
    *,
    service_action: int | None = None,
    reservation: ReservationClass = ReservationClass.ALWAYS,
    wants: Callable[[Any, "Task"], int] | None = None,
    passes_attention: bool = False,
    timeout_s: int = 30,
    feature: str | None = None,
) -> Callable[[_H], _H]:
    """Mark a method ``handler(self, task)`` of a device type as the handler of an opcode; see :class:`Command`.

    The handler returns None when it is done (status GOOD, ``task.data_in`` is the answer), returns ``task.offload(...)``
    for work that blocks, or raises :class:`~tgtcore.errors.CheckCondition`, :class:`~tgtcore.errors.StoreError` or ``OSError``.

    :param usage: hexadecimal, spaces allowed; stack the decorator to serve several opcodes with one handler.
    """

    def mark(handler: _H) -> _H:
        entry = Command(
            opcode=opcode,
            service_action=service_action,
            usage=bytes.fromhex(usage),
            reservation=reservation,
            wants=wants,
            passes_attention=passes_attention,
            timeout_s=timeout_s,
            feature=feature,
            name=handler.__name__,
        )
        if entry.usage[0] != opcode:
            raise TypeError(
                f"{handler.__name__}: the usage data begins with {entry.usage[0]:02X}h, not with the opcode {opcode:02X}h"
            )
        handler.__dict__.setdefault("_scsi_commands", []).append(entry)
        return handler

    return mark


def commands_of(cls: type) -> dict[tuple[int, int | None], tuple[Command, str]]:
    """The opcode table that a class body describes: (opcode, service action) → (command, method name)."""
    table: dict[tuple[int, int | None], tuple[Command, str]] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            for entry in getattr(member, "_scsi_commands", ()):
                table[entry.opcode, entry.service_action] = (entry, name)
    return table


class BoundCommand:
    """A command and its handler, ready to be called with a device and a task."""

    __slots__ = ("cdb_bytes", "command", "handler", "passes_attention", "reservation", "reserved_bits", "wants")

    def __init__(self, command: Command, handler: Handler, wants: "Callable[[Any, Task], int] | None") -> None:
        self.command = command
        self.handler = handler
        self.wants = wants
        self.reserved_bits = command.reserved_bits
        self.reservation = command.reservation
        self.passes_attention = command.passes_attention
        self.cdb_bytes = max(len(command.usage), CDB_BYTES_MIN)


Slot = BoundCommand | dict[int, BoundCommand] | None


class CommandTable:
    """The opcode table of logical units, as one transport sees them.  Those of one device type with the same features share one,
    for it would be most of the memory that a logical unit takes: change a :meth:`copy`.

    ``slots[opcode]`` is the command, a dictionary by service action, or None.
    """

    __slots__ = ("slots",)

    def __init__(self, commands: "Iterator[BoundCommand] | list[BoundCommand]") -> None:
        self.slots: list[Slot] = [None] * 256
        for bound in commands:
            self.replace(bound)

    def replace(self, bound: BoundCommand) -> None:
        """Add a command, or put it in the place of the one that is there."""
        entry = bound.command
        if entry.service_action is None:
            self.slots[entry.opcode] = bound
            return
        slot = self.slots[entry.opcode]
        if not isinstance(slot, dict):
            slot = self.slots[entry.opcode] = {}
        slot[entry.service_action] = bound

    def find(self, cdb: bytes) -> BoundCommand | None:
        """The command of a CDB, or None."""
        slot = self.slots[cdb[0]]
        if type(slot) is dict:
            if cdb[0] == VARIABLE_LENGTH:
                return slot.get(int.from_bytes(cdb[8:10], "big"))
            return slot.get(cdb[1] & 0x1F)
        return slot  # type: ignore[return-value]

    def has_opcode(self, opcode: int) -> bool:
        """Whether the opcode exists, whatever its service actions."""
        return self.slots[opcode] is not None

    def __iter__(self) -> Iterator[BoundCommand]:
        for slot in self.slots:
            if isinstance(slot, dict):
                yield from (slot[action] for action in sorted(slot))
            elif slot is not None:
                yield slot

    def copy(self) -> "CommandTable":
        """An independent table with the same commands."""
        return CommandTable(list(self))
