"""What a virtual HBA may leave behind in a machine."""

import re
from typing import NamedTuple

from guest.lab.guest import Guest
from guest.xen.disks import BACK, FOLDER, FRONT

_GRANT = re.compile(r"\[0x[0-9a-f]+\] +0 ")


class Remains(NamedTuple):
    """:param grants: of domain 0 that are in use, as the hypervisor tells.
    :param ports: event channels of domain 0 that are bound, or may be.
    :param nodes: of the store.
    :param descriptors: that the daemon has open.
    :param journal: files of it.
    """

    grants: int
    ports: int
    nodes: tuple[str, ...]
    descriptors: int
    journal: tuple[str, ...]


def remains(guest: Guest, pid: int) -> Remains:
    """What there is now."""
    guest.run("xl dmesg -c >/dev/null; xl debug-keys g")
    parts = guest.text(
        f"""
        xl dmesg; echo ==; lsevtchn 0; echo ==; xenstore-ls -f {BACK} 2>/dev/null; xenstore-ls -f {FRONT} 2>/dev/null; echo ==
        ls /proc/{pid}/fd; echo ==; find {FOLDER}/journal -type f
        """
    ).split("==\n")
    grants, ports, nodes, descriptors, journal = (part.splitlines() for part in (*parts, *[""] * (5 - len(parts))))
    return Remains(
        sum(map(bool, map(_GRANT.search, grants))), len(ports), tuple(nodes), len(descriptors), tuple(journal)
    )
