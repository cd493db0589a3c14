"""Everything that the daemon has built and not yet removed."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tgtcore.config import AccountConfig, LogicalUnitConfig
from tgtcore.daemon.inheritance import Inheritance
from tgtcore.daemon.things import Thing
from tgtcore.leases import Holder, Leases
from tgtcore.logical_unit import LogicalUnit
from tgtcore.loop import Workers
from tgtcore.nexus import Census
from tgtcore.plugins import Plugins, Record
from tgtcore.store import OpenStore
from tgtcore.target import LunMap, Target
from tgtcore.transport import Driver

if TYPE_CHECKING:
    from tgtcore.daemon.fitting import Part
    from tgtcore.daemon.host import TransportHost
    from tgtcore.daemon.identities import Identities
    from tgtcore.daemon.schedule import Schedule
    from tgtcore.daemon.stores import Stack


@dataclass
class Unit:
    """A logical unit with what stands beneath it."""

    config: LogicalUnitConfig
    lu: LogicalUnit
    store: OpenStore | None
    stack: "Stack | None"
    makers: list[Record]
    """The plugins whose code it is made from; it has a lease on each."""
    filters: "tuple[Part, ...]" = ()
    """The filters that its configuration names, the outermost first; those on storage calls are in the stack too."""
    kept: bool = False
    """Whether everything that was asked for together with it has succeeded; until then it may have to go again."""
    schedule: "Schedule | None" = None
    """Makes its snapshots, if there are to be some."""

    def jobs(self) -> list[Holder]:
        """What is being done to the store besides commands, such as a resize."""
        return [] if self.store is None else self.store.leases.holders(lambda holder: holder is not self.lu)


@dataclass
class Inventory:
    """What exists now, by the names of the configuration."""

    loop: asyncio.AbstractEventLoop
    plugins: Plugins
    workers: Workers
    identities: "Identities"
    state_directory: Path
    drain_s: float
    inheritance: Inheritance = field(default_factory=Inheritance)
    census: Census = field(default_factory=Census)
    accounts: dict[str, AccountConfig] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    transports: dict[str, Driver] = field(default_factory=dict)
    hosts: "dict[str, TransportHost]" = field(default_factory=dict)
    names: dict[tuple[str, object], LogicalUnit] = field(default_factory=dict)
    """Unique ids and serial numbers that are in use, and by which logical unit."""
    requests: set[asyncio.Task[None]] = field(default_factory=set)
    """What filters have asked for themselves, and what is not done yet."""
    drained: set[Thing] = field(default_factory=set)
    """What is configured and takes nobody, until it is reopened."""

    def use_plugins(self, plugins: Plugins) -> None:
        """Have other plugins, whose hooks are asked from now on; what the former ones have built stays.

        :raises PluginError: one can't amend the commands of a logical unit; the former ones are in force then.
        """
        former, self.plugins = self.plugins, plugins
        if plugins is former:
            return
        if former.amends_commands() or plugins.amends_commands():
            try:
                self._amend_commands()
            except BaseException:
                self.plugins = former
                self._amend_commands()
                raise

    def _amend_commands(self) -> None:
        for host in self.hosts.values():
            host.forget_all()
        for unit in self.units.values():
            for itl in unit.lu.itls:
                itl.commands = itl.nexus.commands_for(unit.lu)

    def next_tid(self) -> int:
        """The smallest target number that is free."""
        taken = {target.tid for target in self.targets.values()}
        return next(number for number in range(1, len(taken) + 2) if number not in taken)

    def keep_units(self) -> None:
        """What was asked for has succeeded: from now on the units that were made for it stay."""
        for unit in self.units.values():
            unit.kept = True

    def maps(self) -> dict[LunMap, Target]:
        """Every LUN map with its target."""
        return {lun_map: target for target in self.targets.values() for lun_map in target.maps()}

    def places_of(self, lu: LogicalUnit) -> Iterator[tuple[Target, LunMap, int]]:
        """Where a logical unit is mapped."""
        maps = self.maps()
        for lun_map, lun in lu.maps.items():
            yield maps[lun_map], lun_map, lun

    def leases(self) -> Iterator[Leases]:
        """The leases that tasks and sessions hold; idle things have none."""
        for unit in self.units.values():
            yield unit.lu.leases
        for target in self.targets.values():
            yield target.leases
            for nexus in target.nexuses:
                yield nexus.leases

    def holders(self) -> list[tuple[str, Holder]]:
        """What is in use, and by whom."""
        return [(leases.what, holder) for leases in self.leases() for holder in leases.holders()]
