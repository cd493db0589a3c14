"""What a virtual HBA may leave behind in a machine."""

import re
import time
from typing import NamedTuple

from guest.xen.daemon import JOURNAL, XenDaemon

_GRANT = re.compile(r"\[0x([0-9a-f]+)\] +0 ")
_IMAGES = (".img", ".qcow2")
_SOON_S = 30
_RESERVED = 8
"""``GNTTAB_NR_RESERVED_ENTRIES``: the first ones are the hypervisor's, for the store and the console of a guest."""

_LOOK = """
set -e
xl dmesg; echo ==
domids=$(xenstore-list /local/domain)
for domid in $domids; do lsevtchn $domid; done; echo ==
xenstore-ls -f >/tmp/store; sed -n /vscsi/p /tmp/store; echo ==
for pid in {pids}; do ls -l /proc/$pid/fd 2>/dev/null; done >/tmp/files || true; sed -n 's/.* -> //p' /tmp/files; echo ==
mkdir -p {journal}; find {journal} -type f
"""
"""Ends where one of them fails: who can't look finds nothing left.  Descriptors come and go while they are looked at."""


class Remains(NamedTuple):
    """:param grants: of any domain that domain 0 uses, as the hypervisor tells.
    :param ports: event channels of all domains that are bound, or may be.
    :param nodes: of the store.
    :param descriptors: that the daemon has open, with the process of its transport; images count once, for one from which a
        long piece was read is open twice.
    :param journal: files of it.
    """

    grants: int
    ports: int
    nodes: tuple[str, ...]
    descriptors: int
    journal: tuple[str, ...]


def remains(daemon: XenDaemon) -> Remains:
    """What there is now."""
    machine = daemon.dom0.guest
    machine.run("xl dmesg -c >/dev/null; xl debug-keys g")
    said = machine.run(_LOOK.format(journal=JOURNAL, pids=" ".join(map(str, daemon.pids)))).text
    dmesg, ports, nodes, descriptors, journal = (part.splitlines() for part in said.split("==\n"))
    grants = [found for line in dmesg if (found := _GRANT.search(line)) and int(found[1], 16) >= _RESERVED]
    images = [name for name in descriptors if name.endswith(_IMAGES)]
    opened = len(descriptors) - len(images) + len(set(images))
    # What is there in any case is the proof that somebody looks.
    assert ports, "no event channel was found: domain 0 has some"
    assert images, f"no image was found: {descriptors}"
    assert "/dev/xen/evtchn" in descriptors, f"no device was found: {descriptors}"
    return Remains(len(grants), len(ports), tuple(nodes), opened, tuple(journal))


def nothing_is_left(daemon: XenDaemon, before: Remains) -> None:
    """Of a guest that is gone: soon, and for good."""
    deadline = time.monotonic() + _SOON_S
    while time.monotonic() < deadline:
        if daemon.figures["state"] == "waiting for the guest" and remains(daemon) == before:
            break
        time.sleep(0.2)
    assert daemon.figures["state"] == "waiting for the guest"
    assert daemon.admin("stat")["leases"] == []
    assert remains(daemon) == before
