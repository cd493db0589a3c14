"""PERSISTENT RESERVE OUT: REGISTER, REGISTER AND IGNORE EXISTING KEY, REGISTER AND MOVE (SPC-5 5.14.7 and 5.14.8)."""

from collections.abc import Iterable
from dataclasses import replace

from tgtcore.errors import CheckCondition, ReservationConflict
from tgtcore.limits import REGISTRANTS_MAX
from tgtcore.reservations.request import Outcome, Request, invalid_parameter
from tgtcore.reservations.reserving import check_key, released
from tgtcore.reservations.state import NexusIdentity, Reservation, State
from tgtcore.scsi import asc
from tgtcore.scsi.parameters import ILLEGAL_REQUEST
from tgtcore.scsi.transport_id import is_name_only, iscsi_name_of, protocol_of


def register(state: State, request: Request) -> Outcome:
    """REGISTER: the key must be the one that the nexus is registered with, zero for none."""
    parameters = request.parameters
    registered = request.nexus in state.registrations
    if parameters.key != state.registrations.get(request.nexus, 0):
        raise ReservationConflict("the reservation key is not the registered one")
    if registered and parameters.transport_ids is not None:
        raise invalid_parameter("SPEC_I_PT is one on a registered nexus", 20, 3)
    return register_and_ignore_existing_key(state, request)


def register_and_ignore_existing_key(state: State, request: Request) -> Outcome:
    """REGISTER AND IGNORE EXISTING KEY: give the nexus a key, or with key zero unregister it."""
    parameters = request.parameters
    if not parameters.service_key and request.nexus not in state.registrations:
        return Outcome(before=state, state=state)
    _check_persist(request, byte=20)
    own = set(_through_ports(request, [request.nexus.transport_id])) | {request.nexus}
    if parameters.service_key:
        after = _registered(state, parameters.service_key, [*own, *_specified(state, request)])
    else:
        after = state.without(own)
    return Outcome(
        before=state,
        state=replace(after.counted(), persist=parameters.persist),
        attentions=released(state, after, request.nexus),
    )


def register_and_move(state: State, request: Request) -> Outcome:
    """REGISTER AND MOVE: register another nexus and let it hold the reservation."""
    parameters = request.parameters
    check_key(state, request)
    held = state.reservation
    if held is None:
        raise CheckCondition(ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB, field=(1, 4))
    if held.holder != request.nexus:
        raise ReservationConflict("the nexus does not hold a reservation that can be moved")
    if not parameters.service_key:
        raise invalid_parameter("the service action reservation key is zero", 8)
    _check_persist(request, byte=17)
    destination = _destination(request)
    after = _registered(state, parameters.service_key, [destination])
    after = replace(after, reservation=Reservation(held.type, destination), persist=parameters.persist)
    if parameters.unregister:
        after = after.without([request.nexus])
    return Outcome(before=state, state=after.counted())


def _destination(request: Request) -> NexusIdentity:
    assert request.parameters.transport_ids is not None
    (transport_id,) = request.parameters.transport_ids
    port = request.parameters.relative_port
    if port not in request.target_ports:
        raise invalid_parameter(f"there is no target port {port}", 18)
    _check_protocol(request, transport_id, byte=24)
    if is_name_only(transport_id):
        raise invalid_parameter("the TransportID does not say which port of the initiator", 24, 7)
    if transport_id == request.nexus.transport_id:
        raise invalid_parameter("the TransportID is that of the sender", 24)
    return NexusIdentity(transport_id, port, request.target_ports[port])


def _registered(state: State, key: int, nexuses: Iterable[NexusIdentity]) -> State:
    after = state.with_key(key, nexuses)
    if len(after.registrations) > REGISTRANTS_MAX:
        raise CheckCondition(ILLEGAL_REQUEST, asc.INSUFFICIENT_REGISTRATION_RESOURCES)
    return after


def _specified(state: State, request: Request) -> list[NexusIdentity]:
    """The nexuses of the initiator ports in the parameter list, none of which may be registered (table 67 note b)."""
    wanted: list[bytes] = []
    for transport_id in request.parameters.transport_ids or ():
        _check_protocol(request, transport_id, byte=28)
        wanted += _ports_of_initiator(state, request, transport_id) if is_name_only(transport_id) else [transport_id]
    nexuses = _through_ports(request, wanted)
    if any(nexus in state.registrations for nexus in nexuses):
        raise invalid_parameter("a TransportID names an initiator port that is registered", 28)
    return nexuses


def _ports_of_initiator(state: State, request: Request, transport_id: bytes) -> list[bytes]:
    """The initiator ports of that name that are known: logged in, or registered (SPC-5 7.6.4.6)."""
    known = {*request.initiator_ports, *(nexus.transport_id for nexus in state.registrations)}
    protocol, name = protocol_of(transport_id), iscsi_name_of(transport_id)
    return [port for port in known if protocol_of(port) is protocol and iscsi_name_of(port) == name]


def _through_ports(request: Request, transport_ids: Iterable[bytes]) -> list[NexusIdentity]:
    """The nexuses of initiator ports with the target port of the command, or with ALL_TG_PT with all target ports."""
    own = request.nexus
    ports = request.target_ports if request.parameters.all_target_ports else {own.relative_id: own.port_name}
    return [NexusIdentity(wanted, number, name) for wanted in transport_ids for number, name in ports.items()]


def _check_protocol(request: Request, transport_id: bytes, byte: int) -> None:
    if protocol_of(transport_id) is not protocol_of(request.nexus.transport_id):
        raise invalid_parameter("a TransportID of another protocol than that of the target port", byte, 3)


def _check_persist(request: Request, byte: int) -> None:
    if request.parameters.persist and not request.can_persist:
        raise invalid_parameter("APTPL is one, but nothing can be kept over power loss", byte, 0)
