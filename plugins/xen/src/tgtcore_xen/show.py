"""What is shown of virtual HBAs and sessions."""

from typing import TYPE_CHECKING, Any

from tgtcore import SessionInfo
from tgtcore_xen.xenbus.states import State
from tgtcore_xen.xenbus.wanted import Presence

if TYPE_CHECKING:
    from tgtcore_xen.keeping.keeper import Keeper

WAITS_FOR_NODES = "waiting for its nodes"
"""State of one whose nodes somebody in domain 0 has to make."""

_STATES = {
    Presence.OFFERED: "waiting for the front end",
    Presence.HELD: "held",
    Presence.CLOSED: "closed",
    Presence.REMOVED: "leads nowhere",
}
"""Of a virtual HBA without a session, by what it is to be."""


def session_info(keeper: "Keeper") -> SessionInfo | None:
    """A session, for show; None: there is none."""
    session, guest = keeper.session, keeper.guest
    if session is None or guest is None:
        return None
    return SessionInfo(
        keeper.options.address,
        session.target.name,
        session.nexus.initiator_port.name,
        f"domain {guest.domid}",
        len(session.nexus.tasks),
        {"domid": guest.domid, "uuid": guest.uuid, "protocol": session.protocol or "vscsiif"},
        keeper.options.address if keeper.wishes.listening and keeper.wishes.attached else "",
        session.nexus,
    )


def hba_figures(keeper: "Keeper") -> dict[str, Any]:
    """State and figures of a virtual HBA."""
    guest, observed, session = keeper.guest, keeper.observed, keeper.session
    return {
        "guest": "" if guest is None else guest.name,
        "uuid": "" if guest is None else guest.uuid,
        "domid": None if guest is None else guest.domid,
        "target": keeper.options.target_name,
        "state": _state(keeper),
        "refused": "" if keeper.wishes.refusal is None else str(keeper.wishes.refusal),
        "back_end": _word(observed.back),
        "front_end": _word(observed.front),
        "protocol": "" if session is None else session.protocol or "vscsiif",
        "devices": {
            device.address: f"{device.back.word} / {device.front.word}" for device in observed.devices.values()
        },
        "sessions": keeper.service.sessions,
        "in_flight": 0 if session is None else session.connection.in_flight,
        **({} if session is None else session.connection.figures.as_dict()),
    }


def _state(keeper: "Keeper") -> str:
    """In a word or two."""
    if keeper.guest is None:
        return WAITS_FOR_NODES if _waits_for_nodes(keeper) else "waiting for the guest"
    if keeper.wishes.refusal is not None:
        return "refused"
    if keeper.waits_for_commands:
        return "waiting for old commands"
    presence = keeper.presence
    if keeper.service.link is not None:
        return "closing" if presence is Presence.REMOVED else "connected"
    if keeper.tries_again and presence is Presence.OFFERED:
        return "trying again"
    if _waits_for_nodes(keeper):
        return WAITS_FOR_NODES
    closed = keeper.observed.back is State.CLOSED and not keeper.observed.online
    return "closed" if closed else _STATES[presence]


def _waits_for_nodes(keeper: "Keeper") -> bool:
    """Whether somebody else has to make its nodes, anew where they were closed."""
    is_ready = keeper.guest is not None and keeper.observed.whole and keeper.observed.online
    return keeper.wishes.found and not is_ready and keeper.presence is Presence.OFFERED


def _word(state: State | None) -> str:
    return "" if state is None else state.word
