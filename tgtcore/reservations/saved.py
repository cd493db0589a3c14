"""Registrations and reservation as JSON-like data, to outlive the power."""

from collections.abc import Mapping
from typing import Any

from tgtcore.limits import REGISTRANTS_MAX
from tgtcore.reservations.classes import ALL_REGISTRANTS
from tgtcore.reservations.state import NexusIdentity, Reservation, State
from tgtcore.scsi.persistent import ReservationType
from tgtcore.scsi.transport_id import parse_transport_id

_KEY_MAX = (1 << 64) - 1
_RELATIVE_ID_MAX = 0xFFFF
_GENERATION_MAX = 0xFFFFFFFF


def saved(state: State) -> dict[str, Any]:
    """What to keep of ``state`` over power loss; empty when nothing is to be kept.

    The generation is not kept: it starts at zero with the power (SPC-5 6.16.2).
    """
    if not state.persist or not state.registrations:
        return {}
    return _described(state)


def handed_over(state: State) -> dict[str, Any]:
    """All of ``state``, for another process that goes on with it while the power stays on."""
    return {**_described(state), "generation": state.generation, "persist": state.persist}


def _described(state: State) -> dict[str, Any]:
    held = state.reservation
    return {
        "registrations": [
            {
                "transport_id": nexus.transport_id.hex(),
                "relative_id": nexus.relative_id,
                "port_name": nexus.port_name,
                "key": f"{key:016x}",
                "holder": held is not None and held.holder == nexus,
            }
            for nexus, key in state.registrations.items()
        ],
        "type": None if held is None else int(held.type),
    }


def restored(data: Mapping[str, Any]) -> State:
    """The state of which ``data`` was kept or handed over.

    :raises ValueError: it is neither what :func:`saved` nor what :func:`handed_over` makes; the message says where.
    """
    if not data:
        return State()
    try:
        entries = list(data["registrations"])
        read = [_registration(entry) for entry in entries]
        kind = None if data["type"] is None else ReservationType(data["type"])
        generation, persist = data.get("generation", 0), data.get("persist", True)
        if type(generation) is not int or not 0 <= generation <= _GENERATION_MAX or type(persist) is not bool:
            raise ValueError(f"generation {generation!r}, persist {persist!r}")
        holders = [nexus for (nexus, _), entry in zip(read, entries, strict=True) if entry["holder"] is True]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"saved reservations are damaged: {type(error).__name__}: {error}") from None
    registrations = dict(read)
    if (
        (not registrations and "generation" not in data)
        or len(registrations) != len(read)
        or len(read) > REGISTRANTS_MAX
    ):
        raise ValueError(f"saved reservations are damaged: {len(read)} registrations, {len(registrations)} different")
    if len(holders) != (kind is not None and kind not in ALL_REGISTRANTS):
        raise ValueError(f"saved reservations are damaged: {len(holders)} holders of type {kind}")
    reservation = None if kind is None else Reservation(kind, holders[0] if holders else None)
    return State(registrations, reservation, generation, persist)


def _registration(entry: Mapping[str, Any]) -> tuple[NexusIdentity, int]:
    raw = bytes.fromhex(entry["transport_id"])
    transport_id, end = parse_transport_id(raw)
    key, relative_id, port_name = int(entry["key"], 16), entry["relative_id"], entry["port_name"]
    if end != len(raw) or transport_id != raw:
        raise ValueError(f"TransportID {raw.hex()} is not in its canonical form")
    if not 0 < key <= _KEY_MAX:
        raise ValueError(f"key {key:x} is out of range")
    if type(relative_id) is not int or not 0 < relative_id <= _RELATIVE_ID_MAX or not isinstance(port_name, str):
        raise ValueError(f"target port {relative_id!r} {port_name!r}")
    return NexusIdentity(transport_id, relative_id, port_name), key
