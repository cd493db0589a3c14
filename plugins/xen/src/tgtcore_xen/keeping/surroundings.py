"""What all virtual HBAs of the transport share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tgtcore_srp.memory import Memory

from tgtcore import Host
from tgtcore_xen.guests import Guests
from tgtcore_xen.options import HbaOptions, XenOptions
from tgtcore_xen.platform.contract import Platform


@dataclass(frozen=True)
class Surroundings:
    """The same for all.

    :param options: asks for the options in force.
    :param hbas: asks for all that there are.
    """

    host: Host
    machine: Platform
    guests: Guests
    memory: Memory
    options: Callable[[], XenOptions]
    hbas: Callable[[], Sequence[HbaOptions]]
