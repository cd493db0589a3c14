"""Where the journals of virtual HBAs are: one for each guest and number."""

import hashlib
import logging
import os
from pathlib import Path

from tgtcore_xen.guests import Guest
from tgtcore_xen.hba.journal import Journal
from tgtcore_xen.options import XenOptions
from tgtcore_xen.xenbus.observed import Ring

_log = logging.getLogger(__name__)

FOLDER = Path("/run/tgtcore/xen")
"""Where root has them, unless the configuration says otherwise."""


def journal_folder(options: XenOptions) -> Path | None:
    """The folder of the journals; None: there are none."""
    if options.journal is None and options.platform == "hypervisor" and os.geteuid() == 0:
        return FOLDER
    return options.journal


def open_journal(folder: Path, guest: Guest, dev: int, ring: Ring, *, fresh: bool) -> Journal:
    """The journal of a ring.

    :param fresh: no back end has served the ring before, so that what an earlier one has left is not for it.
    :raises OSError: it can't be had.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(f"{guest.uuid or guest.domid}/{dev}".encode()).hexdigest()[:32]
    owner = f"{guest.uuid} {guest.domid}/{dev} {ring.reference} {ring.channel}"
    found = None if fresh else Journal.found(folder / name, owner)
    return Journal.new(folder / name, owner) if found is None else found
