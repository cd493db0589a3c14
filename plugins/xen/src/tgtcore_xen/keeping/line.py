"""The line to a front end: the connection to its ring, with the journal of that."""

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from tgtcore import Nexus
from tgtcore_xen.guests import Guest
from tgtcore_xen.hba.commands import Devices
from tgtcore_xen.hba.connection import Connection, Limits, RingPlace
from tgtcore_xen.hba.devices import Nowhere
from tgtcore_xen.keeping.journals import journal_folder, open_journal
from tgtcore_xen.keeping.refusal import Refused
from tgtcore_xen.keeping.surroundings import Surroundings
from tgtcore_xen.options import HbaOptions
from tgtcore_xen.srp.connection import SrpConnection
from tgtcore_xen.srp.layout import PROTOCOL as SRP
from tgtcore_xen.xenbus.observed import Observed, Ring

if TYPE_CHECKING:
    from tgtcore_xen.hba.journal import Journal

PROTOCOLS: dict[str, type[Connection]] = {
    **dict.fromkeys(("", "x86_64-abi", "x86_32-abi", "arm-abi"), Connection),
    SRP: SrpConnection,
}
"""What speaks with a front end, by the protocol that this names."""


class Line:
    """A connection and its journal, until both are closed.

    :param broken: called once at most, when the guest has broken the rules.
    :param fresh: whether nobody has served the ring before.
    :raises Refused: there can be none; nothing is left behind.
    """

    def __init__(
        self,
        hba: HbaOptions,
        guest: Guest,
        observed: Observed,
        ring: Ring,
        around: Surroundings,
        nexus: Nexus,
        devices: Devices,
        broken: Callable[[str], None],
        *,
        fresh: bool,
    ) -> None:
        self._loop = around.host.loop
        speaker = PROTOCOLS.get(observed.protocol)
        if speaker is None:
            name = observed.protocol.encode("unicode_escape").decode()  # a guest writes into our log here
            raise Refused(
                f'its front end speaks protocol "{name}", expected one of: '
                f"{', '.join(filter(None, PROTOCOLS))}, or none"
            )
        self._journal = self._open_journal(hba, guest, ring, around, fresh=fresh)
        try:
            self.connection = speaker(
                f"virtual HBA {hba.address}",
                around.machine,
                RingPlace(guest.domid, *ring),
                nexus,
                devices,
                Limits(observed.sg_grant, around.memory, around.logged_of(hba.address)),
                self._journal,
                broken,
            )
        except OSError as error:
            if self._journal is not None:
                self._journal.close()
            is_ours = error.errno == errno.ENOMEM  # others may give memory back
            raise Refused(f"its ring can't be used: {error}", may_change=is_ours, passes=not fresh) from error

    @staticmethod
    def _open_journal(
        hba: HbaOptions, guest: Guest, ring: Ring, around: Surroundings, *, fresh: bool
    ) -> "Journal | None":
        folder = journal_folder(around.options())
        try:
            return None if folder is None else open_journal(folder, guest, hba.dev, ring, fresh=fresh)
        except OSError as error:
            raise Refused(f"its journal can't be used: {error}", may_change=True, passes=not fresh) from error

    def close(self, *, keep: bool) -> "asyncio.Future[None]":
        """Answer nothing any more.

        :param keep: whether another back end goes on with the ring, and needs what was not answered.
        :returns: done when the last command has ended.
        """
        return ended(self._loop, partial(self._close, keep))

    def _close(self, keep: bool, then: Callable[[], None]) -> None:
        def closed() -> None:
            if not keep and self._journal is not None:
                self._journal.remove()
            then()

        self.connection.close(closed)


class _NoNexus:
    """What a connection asks of its nexus where no command reaches anything: there are no tasks."""

    def __init__(self) -> None:
        self.tasks: dict[int, object] = {}

    def abort_tasks(self, then: Callable[[], None]) -> None:
        """There is nothing to abort."""
        then()


def farewell(
    hba: HbaOptions,
    guest: Guest,
    observed: Observed,
    ring: Ring,
    around: Surroundings,
    broken: Callable[[str], None],
    *,
    fresh: bool,
) -> Line | None:
    """A line on which every command, also of those that wait already, is told that nothing is there.

    The parameters are those of :class:`Line`.

    :returns: None: the front end does not need that in order to let go, or gets no answer anyhow.
    """
    if not PROTOCOLS.get(observed.protocol, SrpConnection).names_devices:
        return None
    with suppress(Refused):
        return Line(hba, guest, observed, ring, around, cast(Nexus, _NoNexus()), Nowhere(), broken, fresh=fresh)
    return None


def ended(loop: asyncio.AbstractEventLoop, close: Callable[[Callable[[], None]], None]) -> "asyncio.Future[None]":
    """Close something; done when that has ended."""
    future: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not future.done():
            future.set_result(None)

    close(end)
    return future
