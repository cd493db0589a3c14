"""What a device type author writes.

A device type is a class; its methods marked with :func:`~tgtcore.device.command` are its opcode table.  One instance serves one
logical unit.  Handlers run on the loop's thread and must not block: work that may goes through ``task.offload(function, ...)``.
Commands that every device type shares are in :class:`~tgtcore.device.shared.SharedCommands`.
"""

from abc import ABC
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from tgtcore.device.command import BoundCommand, Command, CommandTable, commands_of
from tgtcore.options import NoOptions
from tgtcore.store import OpenStore

if TYPE_CHECKING:
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.task import Task


class DeviceType(ABC):
    """The model of a device behind one logical unit.

    :param lu: the logical unit that this object serves.
    :param store: where its data lives; None for a device type that needs none.
    :param options: an instance of ``Options``.
    :raises ConfigError: the options do not fit the store (size, block size, ...).
    """

    code: ClassVar[int]
    """The peripheral device type (SPC-5 table 148)."""

    Options: ClassVar[type[BaseModel]] = NoOptions
    """The configuration keys of this device type, checked before the logical unit is made."""

    needs_store: ClassVar[bool] = True
    """Whether a logical unit of this type must name a store."""

    block_bytes: int = 1
    """The size of a logical block."""

    hands_over: ClassVar[bool] = False
    """Whether :meth:`hand_over` gives everything that must outlive this object.  Without that promise neither the device type nor a
    store beneath it can be reloaded while a logical unit uses them."""

    commands: ClassVar[dict[tuple[int, int | None], tuple[Command, str]]] = {}
    """The opcode table of the class: (opcode, service action) → (command, name of the handler)."""

    _tables: ClassVar[dict[frozenset[str], CommandTable]]
    """The opcode tables of the class's objects, by the features that they have."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.commands = commands_of(cls)
        cls._tables = {}

    def __init__(self, lu: "LogicalUnit", store: OpenStore | None, options: BaseModel) -> None:
        self.lu = lu
        self.store = store
        self.options = options

    def addressed(self, task: "Task") -> tuple[range, ...]:
        """The logical blocks that a command is about, as ranges of their addresses; none, if it is about no blocks.

        For filters that choose commands by that.  The CDB may be wrong and the data-out missing: what can't be told is left out.
        """
        return ()

    def command_features(self) -> set[str]:
        """Names of the optional features that this logical unit has; commands marked with another feature are absent."""
        return set()

    def bind_commands(self) -> CommandTable:
        """The opcode table of this logical unit, which it shares with others."""
        cls, present = type(self), frozenset(self.command_features())
        table = cls._tables.get(present)
        if table is None:
            table = cls._tables[present] = CommandTable(
                [
                    BoundCommand(entry, getattr(cls, method), entry.wants)
                    for entry, method in cls.commands.values()
                    if entry.feature is None or entry.feature in present
                ]
            )
        return table

    def reset(self) -> None:
        """The logical unit was reset (SAM-5 6.3.3): go back to saved or default parameters."""
        return

    def check_size(self, size_bytes: int) -> None:
        """Refuse a size that the device can't have, before the store is resized.

        :raises ConfigError: what is wrong with it.
        """
        return

    def capacity_shrinking(self, size_bytes: int) -> None:
        """The store will be made smaller as soon as the commands that run now have ended: use nothing beyond its end any more.

        :meth:`capacity_changed` follows, also when the store has kept its size.
        """
        return

    def capacity_changed(self) -> None:
        """The store may have another size now."""
        return

    def online_changed(self) -> None:
        """The logical unit was taken offline or back online; look at ``lu.online``."""
        return

    def attention_information(self, code: tuple[int, int]) -> int | None:
        """The INFORMATION field for a unit attention condition that an initiator is being told; None: it has none."""
        return None

    def nexus_lost(self, nexus: Any) -> None:
        """An I_T nexus is gone: forget what belonged to it."""
        return

    def hand_over(self) -> dict[str, Any]:
        """The state that a new object in the place of this one must have, as data of Python's own types.

        That is what initiators or operators have changed and no option says: mode pages, a medium that was ejected, counters.  Only
        tasks that wait are unfinished then.  The store may be closed already.
        """
        return {}

    def take_over(self, state: Mapping[str, Any]) -> None:
        """Have the state that the object before has handed over; called once, right after this one was made.

        It may be of another version: keys may be missing or strange.
        """
        return

    def close(self) -> None:
        """This object is not needed any more: the logical unit is going away, or has another one; no task runs."""
        return

    def statistics(self) -> dict[str, Any]:
        """Figures of this device type for ``tgtadm show``."""
        return {}
