"""Ending sessions: initiators are asked first, then they are waited for, then what they still have under way is aborted."""

import asyncio
import logging
from collections.abc import Callable, Collection

from tgtcore.aborting import abort_all, told_all
from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.patience import Patience
from tgtcore.nexus import Nexus
from tgtcore.transport import Driver, SessionInfo

_log = logging.getLogger(__name__)

_LOGOUT_S = 3.0
"""An initiator that has not logged out so long after it was asked is not going to; then only its commands are waited for."""

Chosen = Callable[[SessionInfo], bool]


async def end_sessions(transport: Driver, chosen: Chosen, patience: Patience) -> None:
    """End some of the sessions of a transport, to their last command.

    Initiators are asked to log out.  They are served until they do, or until they are idle some time later, or until patience is
    over: then commands that have not begun to run end with TASK ABORTED (with TAS), and the session is dropped.

    A transport that fails at that is no reason to keep a session: its nexus is closed all the same.

    Sessions that begin meanwhile are left alone; who wants none has shut the door before.
    """
    asked = [session for session in await transport.sessions() if chosen(session)]
    if asked and patience.left_s:
        try:
            await transport.ask_to_log_out([one.id for one in asked], max(1, int(min(patience.left_s, _LOGOUT_S))))
        except Exception:
            _log.exception("initiators could not be asked to log out")
    await asyncio.gather(*(_end(transport, session, patience) for session in asked))


async def _end(transport: Driver, session: SessionInfo, patience: Patience) -> None:
    nexus = session.nexus
    if nexus is None or not await _leaves(nexus, patience):
        await _drop(transport, session)


async def _leaves(nexus: Nexus, patience: Patience) -> bool:
    """Let a session end by itself; False when it has to be dropped: what had not begun is aborted then."""
    gone = _gone(nexus)
    idle = None
    try:
        if await patience.covers(gone, _LOGOUT_S):
            return True
        idle = nexus.leases.released()
        await patience.covers(idle)
        abort_all(nexus.tasks.values(), told_all, lambda: None)
        return gone.done()
    finally:
        gone.cancel()
        if idle is not None:
            idle.cancel()


async def _drop(transport: Driver, session: SessionInfo) -> None:
    nexus = session.nexus
    try:
        if nexus is None or not nexus.leases.draining or await _is_there(transport, session):
            await transport.drop_session(session.id)
        else:
            await _gone(nexus)
    except Exception:
        _log.exception("session %s could not be ended", session.id)
        if nexus is not None:
            nexus.close(lambda: None)


async def _is_there(transport: Driver, session: SessionInfo) -> bool:
    """Whether a session still has its id, which another may have after its driver has started anew."""
    return any(map(is_session(session.id, session.nexus), await transport.sessions()))


def _gone(nexus: Nexus) -> "asyncio.Future[None]":
    return nexus.target.leases.released([nexus])


def is_with(target: object) -> Chosen:
    """Chooses the sessions with a target."""
    return lambda session: session.nexus is not None and session.nexus.target is target


def has_nexus(nexuses: Collection[Nexus]) -> Chosen:
    """Chooses the sessions of some nexuses."""
    return lambda session: session.nexus in nexuses


def came_through(portal: str) -> Chosen:
    """Chooses the sessions that came through a portal, by its address."""
    return lambda session: session.portal == portal


def is_session(session_id: str, nexus: Nexus | None) -> Chosen:
    """Chooses one session."""
    return lambda session: session.id == session_id and session.nexus is nexus


def every(session: SessionInfo) -> bool:
    """Chooses them all."""
    return True


async def nexuses_of(inventory: Inventory, transport: str, chosen: Chosen) -> list[Nexus]:
    """The nexuses of some sessions."""
    sessions = await inventory.transports[transport].sessions()
    return [session.nexus for session in sessions if session.nexus is not None and chosen(session)]
