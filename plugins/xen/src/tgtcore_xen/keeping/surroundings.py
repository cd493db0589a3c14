"""What all virtual HBAs of the transport share."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tgtcore_srp.memory import Memory

from tgtcore import Host
from tgtcore_xen.guests import Guests
from tgtcore_xen.hba.figures import Logged
from tgtcore_xen.options import HbaOptions, XenOptions
from tgtcore_xen.platform.contract import Platform
from tgtcore_xen.xenbus.paths import HbaPaths


@dataclass(frozen=True)
class Surroundings:
    """The same for all.

    :param options: asks for the options in force.
    :param hbas: asks for all that there are.
    :param found: whether somebody in domain 0 makes the nodes of virtual HBAs and removes them.
    :param tidying: held while nodes are made, or directories removed that several have.
    :param places: which virtual HBA has the nodes there, by its address: several may name the same guest differently.
    :param logged: by the address of a virtual HBA, as long as that has the nodes of its guest.
    """

    host: Host
    machine: Platform
    guests: Guests
    memory: Memory
    options: Callable[[], XenOptions]
    hbas: Callable[[], Sequence[HbaOptions]]
    found: bool = False
    tidying: asyncio.Lock = field(default_factory=asyncio.Lock)
    places: dict[HbaPaths, str] = field(default_factory=dict)
    logged: dict[str, Logged] = field(default_factory=dict)

    def logged_of(self, address: str) -> Logged:
        """What counts how often the guest of a virtual HBA fills the log."""
        return self.logged.setdefault(address, Logged())
