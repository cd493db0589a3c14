"""What is shown of adapters and sessions."""

from typing import TYPE_CHECKING, Any

from tgtcore import SessionInfo

if TYPE_CHECKING:
    from tgtcore_srp.session import Session

    from tgtcore_ibmvio.server import AdapterServer


def session_info(server: "AdapterServer", session: "Session") -> SessionInfo:
    """A session, for show."""
    nexus, partner = session.nexus, server.adapter.partner
    return SessionInfo(
        server.options.address,
        nexus.target.name,
        nexus.initiator_port.name,
        "" if partner is None else f"partition {partner.number}",
        len(nexus.tasks),
        {"adapter": server.options.address, "location": server.options.location or "", **_client(server)},
        server.options.address if server.port.listening else "",
        nexus,
    )


def adapter_figures(server: "AdapterServer") -> dict[str, Any]:
    """State and figures of an adapter."""
    target, partner = server.find_target(), server.adapter.partner
    return {
        "location": server.options.location or "",
        "target": "" if target is None else target.name,
        "state": server.queue.state.value,
        "partner": "" if partner is None else f"{partner.name} ({partner.number})",
        **_client(server),
        "sessions": len(server.port.sessions()),
        "connections": server.connections,
        "waiting": server.queue.waiting,
        "discarded": server.queue.discarded,
    }


def _client(server: "AdapterServer") -> dict[str, Any]:
    """What the client says of itself, as long as it is connected."""
    record = None if server.mads is None else server.mads.partner
    if record is None:
        return {"client": "", "os": "", "srp_version": ""}
    return {"client": record.partition_name, "os": record.os_name, "srp_version": record.srp_version}
