"""A logical unit's reservations with nexuses that have names, so that tests of PERSISTENT RESERVE OUT read as prose."""

from tgtcore.reservations import NexusIdentity, Outcome, Request, Reservations
from tgtcore.scsi.persistent import OutAction, ReservationType, ReserveOutParameters
from tgtcore.scsi.transport_id import iscsi_name_transport_id, iscsi_transport_id

PORTS = {1: "port 1", 2: "port 2"}
"""The target's ports."""


def port_of(name: str, isid: int = 0) -> bytes:
    """TransportID of an initiator port."""
    return iscsi_transport_id(f"iqn.2025-01.example:{name}", isid.to_bytes(6, "big"))


def whole(name: str) -> bytes:
    """TransportID of an initiator with all its ports."""
    return iscsi_name_transport_id(f"iqn.2025-01.example:{name}")


def nexus(name: str, port: int = 1, isid: int = 0) -> NexusIdentity:
    """The nexus of an initiator port with a target port."""
    return NexusIdentity(port_of(name, isid), port, PORTS[port])


ALICE, BOB, CAROL, DAVE = (nexus(name) for name in ("alice", "bob", "carol", "dave"))


def plan(
    reservations: Reservations,
    who: NexusIdentity,
    action: OutAction,
    *,
    key: int = 0,
    new: int = 0,
    kind: int = 0,
    scope: int = 0,
    ids: tuple[bytes, ...] | None = None,
    all_ports: bool = False,
    persist: bool = False,
    unregister: bool = False,
    port: int = 0,
    can_persist: bool = True,
    logged_in: tuple[bytes, ...] = (),
) -> Outcome:
    """What a command comes to, without adopting it."""
    parameters = ReserveOutParameters(
        key=key,
        service_key=new,
        transport_ids=ids,
        all_target_ports=all_ports,
        persist=persist,
        unregister=unregister,
        relative_port=port,
    )
    return reservations.persistent_reserve_out(
        Request(
            nexus=who,
            action=action,
            scope=scope,
            type=kind,
            parameters=parameters,
            target_ports=PORTS,
            initiator_ports=logged_in,
            can_persist=can_persist,
        )
    )


def registered(
    keys: dict[NexusIdentity, int], kind: ReservationType | None = None, by: NexusIdentity | None = None
) -> Reservations:
    """Reservations with these registrations, and a reservation that ``by`` (or the first) has made."""
    reservations = Reservations()
    for who, key in keys.items():
        reservations.adopt(plan(reservations, who, OutAction.REGISTER, new=key))
    if kind is not None:
        holder = by or next(iter(keys))
        reservations.adopt(plan(reservations, holder, OutAction.RESERVE, key=keys[holder], kind=kind))
    return reservations
