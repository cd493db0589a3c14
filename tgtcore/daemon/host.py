"""What the daemon offers to one transport."""

import asyncio
import logging
import socket
from collections.abc import Iterable

from tgtcore.daemon.inventory import Inventory
from tgtcore.device import CommandTable
from tgtcore.device.absent import answer_absent
from tgtcore.errors import PluginError
from tgtcore.logical_unit import LogicalUnit
from tgtcore.nexus import InitiatorPort, Nexus, TargetPort
from tgtcore.plugins import Record
from tgtcore.target import Target
from tgtcore.transport import Account, Transport

_log = logging.getLogger(__name__)


class TransportHost:
    """The :class:`~tgtcore.transport.Host` of one transport.

    :param name: the transport's registered name.
    """

    def __init__(self, name: str, inventory: Inventory) -> None:
        self._name = name
        self._inventory = inventory
        self.maker = self._maker()
        """The plugin whose code the transport is made from."""
        self._tables: dict[LogicalUnit, tuple[CommandTable, CommandTable]] = {}
        """The table of a logical unit, and what plugins have made of it."""

    def __str__(self) -> str:
        return f"transport {self._name}"

    def _maker(self) -> Record:
        plugins = self._inventory.plugins
        return plugins.owner(plugins.registry.transports, self._name)

    def remade(self) -> None:
        """The transport is made from the code of the present plugins now."""
        self.maker.leases.give(self)
        self.maker = self._maker()
        self.maker.leases.take(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        return self._inventory.loop

    def targets(self) -> Iterable[Target]:
        """The targets of this transport."""
        return [target for target in self._inventory.targets.values() if target.transport == self._name]

    def find_target(self, name: str) -> Target | None:
        """A target of this transport by name."""
        target = self._inventory.targets.get(name)
        return target if target is not None and target.transport == self._name else None

    def account(self, name: str) -> Account | None:
        """A configured account."""
        found = self._inventory.accounts.get(name)
        return Account(found.user, found.secret) if found else None

    def admits(self, target: Target, initiator_port: InitiatorPort, portal: str) -> bool:
        """The access list has an opinion only on whom it admits; plugins may admit others, and refuse anybody.

        A plugin that fails refuses.
        """
        try:
            opinions = self._inventory.plugins.authorize_login(target, initiator_port, portal)
        except PluginError as error:
            _log.error("%s; %s is not admitted to %s", error, initiator_port.name, target, exc_info=error.__cause__)
            return False
        if target.access.admits(initiator_port.name, initiator_port.address):
            opinions.append(True)
        return bool(opinions) and all(opinions)

    def open_nexus(self, target: Target, initiator_port: InitiatorPort, target_port: TargetPort) -> Nexus:
        """Open an I_T nexus.

        :raises NexusInUse: what the initiator port has sent before, on such a nexus that was lost, has not ended.
        :raises Draining: the target is going away.
        :raises PluginError: a plugin could not amend the commands of a logical unit.
        """
        if self._inventory.plugins.amends_commands():
            for lu in target.map_for(initiator_port.name).luns().values():
                self._commands_for(lu)
        census, reported = self._inventory.census, self._transport_class().reported_luns
        nexus = Nexus(target, initiator_port, target_port, self._commands_for, answer_absent, census, reported)
        target.check_ended(nexus.identity)
        target.nexus_opened(nexus)
        return nexus

    def _transport_class(self) -> type[Transport]:
        found = self._inventory.plugins.registry.transports.get(self._name)
        assert found is not None, f"{self} was made from it"
        return found

    def inherited(self, address: str) -> socket.socket | None:
        """A socket that listens at an address already; none that another transport had."""
        return self._inventory.inheritance.take_socket(address, self._name)

    def forget(self, lu: LogicalUnit) -> None:
        """A logical unit is gone."""
        self._tables.pop(lu, None)

    def forget_all(self) -> None:
        """Other plugins may amend commands from now on."""
        self._tables.clear()

    def _commands_for(self, lu: LogicalUnit) -> CommandTable:
        """The opcode table of a logical unit on this transport; plugins amend it once, and filters stand before it."""
        return lu.filtered(self._amended(lu))

    def _amended(self, lu: LogicalUnit) -> CommandTable:
        plugins = self._inventory.plugins
        if not plugins.amends_commands():
            return lu.commands
        own, table = self._tables.get(lu, (None, None))
        if table is None or own is not lu.commands:
            table = lu.commands.copy()
            plugins.amend_commands(self._name, lu, table)
            self._tables[lu] = lu.commands, table
        return table
