"""What is shown of virtual HBAs and sessions."""

from typing import TYPE_CHECKING, Any

from tgtcore import SessionInfo

if TYPE_CHECKING:
    from tgtcore_xen.keeping.keeper import Keeper
    from tgtcore_xen.xenbus.states import State


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
        "state": keeper.state,
        "refused": "" if keeper.wishes.refusal is None else str(keeper.wishes.refusal),
        "back_end": _word(observed.back),
        "front_end": _word(observed.front),
        "protocol": "" if session is None else session.protocol or "vscsiif",
        "devices": {
            device.address: f"{device.back.word} / {device.front.word}" for device in observed.devices.values()
        },
        "sessions": keeper.sessions,
        "in_flight": 0 if session is None else session.connection.in_flight,
        **({} if session is None else session.connection.figures.as_dict()),
    }


def _word(state: "State | None") -> str:
    return "" if state is None else state.word
