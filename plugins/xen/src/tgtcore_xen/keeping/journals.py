"""Where the journals of virtual HBAs are: one for each guest and number."""

import hashlib
import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from tgtcore_xen.guests import Guest
from tgtcore_xen.hba.journal import Journal, owner_of
from tgtcore_xen.options import XenOptions
from tgtcore_xen.xenbus.observed import Ring

_log = logging.getLogger(__name__)
_DOMID = re.compile(r" (\d{1,5})/\d{1,5} \d+ \d+$", re.ASCII)
"""In the owner of a journal."""

FOLDER = Path("/run/tgtcore/xen")
"""Where root has them, unless the configuration says otherwise."""


def journal_folder(options: XenOptions) -> Path | None:
    """The folder of the journals; None: there are none."""
    if options.journal is None and options.platform == "hypervisor" and os.geteuid() == 0:
        return FOLDER
    return options.journal


def warn_without_journals(options: XenOptions) -> None:
    """Say what it means that there are none: nothing else shows it before a daemon is killed."""
    if journal_folder(options) is None:
        _log.warning(
            'there is no folder for the journals of virtual HBAs (key "journal" of the transport): what guests wait for '
            "when a daemon is killed, the next one can't give them before they abort it"
        )


def open_journal(folder: Path, guest: Guest, dev: int, ring: Ring, *, fresh: bool) -> Journal:
    """The journal of a ring.

    :param fresh: no back end has served the ring before, so that what an earlier one has left is not for it.
    :raises OSError: it can't be had.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = _path(folder, guest, dev)
    owner = f"{guest.uuid} {guest.domid}/{dev} {ring.reference} {ring.channel}"
    found = None if fresh else Journal.found(path, owner)
    return Journal.new(path, owner) if found is None else found


def remove_journal(options: XenOptions, guest: Guest, dev: int) -> None:
    """The guest is gone, or its HBA: have no journal of it, whoever has left one."""
    folder = journal_folder(options)
    if folder is not None:
        with suppress(OSError):
            _path(folder, guest, dev).unlink()


def left_journals(options: XenOptions) -> list[tuple[Path, int]]:
    """What back ends have left, each with the domid of its guest; not what is from an earlier run of the machine."""
    folder = journal_folder(options)
    paths: list[Path] = []
    if folder is not None:
        with suppress(OSError):
            paths += folder.iterdir()
    found = []
    for path in paths:
        with suppress(OSError):
            written = _DOMID.search(owner_of(path))
            if written is not None:
                found.append((path, int(written[1])))
    return found


def _path(folder: Path, guest: Guest, dev: int) -> Path:
    return folder / hashlib.sha256(f"{guest.uuid or guest.domid}/{dev}".encode()).hexdigest()[:32]
