"""Parameter data of PERSISTENT RESERVE IN and PERSISTENT RESERVE OUT (SPC-5 6.16 and 6.17)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from tgtcore.scsi.parameters import ParameterError, need
from tgtcore.scsi.transport_id import parse_transport_id


class InAction(IntEnum):
    """Service actions of PERSISTENT RESERVE IN."""

    READ_KEYS = 0
    READ_RESERVATION = 1
    REPORT_CAPABILITIES = 2
    READ_FULL_STATUS = 3


class OutAction(IntEnum):
    """Service actions of PERSISTENT RESERVE OUT."""

    REGISTER = 0
    RESERVE = 1
    RELEASE = 2
    CLEAR = 3
    PREEMPT = 4
    PREEMPT_AND_ABORT = 5
    REGISTER_AND_IGNORE_EXISTING_KEY = 6
    REGISTER_AND_MOVE = 7


class ReservationType(IntEnum):
    """Types of persistent reservations (SPC-5 6.16.3.4)."""

    WRITE_EXCLUSIVE = 1
    EXCLUSIVE_ACCESS = 3
    WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5
    EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 6
    WRITE_EXCLUSIVE_ALL_REGISTRANTS = 7
    EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8


LU_SCOPE = 0
"""The only scope: the whole logical unit."""

_BASIC_BYTES = 24
_LIST_AT = 28
_MOVE_LIST_AT = 24
_SPEC_I_PT, _ALL_TG_PT, _UNREG, _APTPL = 0x08, 0x04, 0x02, 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveOutParameters:
    """The parameter list of PERSISTENT RESERVE OUT, in either format.

    :param key: RESERVATION KEY.
    :param service_key: SERVICE ACTION RESERVATION KEY.
    :param transport_ids: the initiator ports specified with SPEC_I_PT, or the one to move to; None: SPEC_I_PT is zero.
    :param all_target_ports: ALL_TG_PT.
    :param persist: APTPL: keep registrations and reservation over power loss.
    :param unregister: UNREG of REGISTER AND MOVE.
    :param relative_port: target port to move to, with REGISTER AND MOVE.
    """

    key: int
    service_key: int
    transport_ids: tuple[bytes, ...] | None = None
    all_target_ports: bool = False
    persist: bool = False
    unregister: bool = False
    relative_port: int = 0


def parse_reserve_out(action: OutAction, data: bytes) -> ReserveOutParameters:
    """The parameter list of PERSISTENT RESERVE OUT; ``data`` is as long as PARAMETER LIST LENGTH says.

    :raises ParameterError: it has the wrong length, or a TransportID in it is not valid.
    """
    need(data, _BASIC_BYTES, "the parameter list")
    key, service_key = int.from_bytes(data[0:8], "big"), int.from_bytes(data[8:16], "big")
    if action is OutAction.REGISTER_AND_MOVE:
        return _parse_move(data, key, service_key)
    flags = data[20]
    transport_ids: tuple[bytes, ...] | None = None
    if flags & _SPEC_I_PT:
        if action is not OutAction.REGISTER:
            raise ParameterError(f"SPEC_I_PT is one, which {action.name} does not allow", byte=20, bit=3)
        need(data, _LIST_AT, "the parameter list with SPEC_I_PT")
        transport_ids = _parse_list(data, _LIST_AT, length_at=24)
    elif len(data) != _BASIC_BYTES:
        raise ParameterError(f"parameter list of {len(data)} bytes, expected 24", byte=_BASIC_BYTES, truncated=True)
    return ReserveOutParameters(
        key=key,
        service_key=service_key,
        transport_ids=transport_ids,
        all_target_ports=bool(flags & _ALL_TG_PT),
        persist=bool(flags & _APTPL),
    )


def _parse_move(data: bytes, key: int, service_key: int) -> ReserveOutParameters:
    transport_ids = _parse_list(data, _MOVE_LIST_AT, length_at=20)
    if len(transport_ids) != 1:
        raise ParameterError(f"{len(transport_ids)} TransportIDs, expected one", byte=20)
    return ReserveOutParameters(
        key=key,
        service_key=service_key,
        transport_ids=transport_ids,
        persist=bool(data[17] & _APTPL),
        unregister=bool(data[17] & _UNREG),
        relative_port=int.from_bytes(data[18:20], "big"),
    )


def _parse_list(data: bytes, at: int, *, length_at: int) -> tuple[bytes, ...]:
    length = int.from_bytes(data[length_at : length_at + 4], "big")
    if at + length != len(data):
        raise ParameterError(
            f"{length} bytes of TransportIDs announced, {len(data) - at} sent", byte=length_at, truncated=True
        )
    found = []
    while at < len(data):
        transport_id, at = parse_transport_id(data, at)
        found.append(transport_id)
    return tuple(found)


def read_keys_data(generation: int, keys: Iterable[int]) -> bytes:
    """READ KEYS: the key of every registered I_T nexus."""
    return _with_header(generation, b"".join(key.to_bytes(8, "big") for key in keys))


def read_reservation_data(generation: int, reservation: tuple[int, ReservationType] | None) -> bytes:
    """READ RESERVATION.

    :param reservation: the holder's key, zero with all registrants, and the type; None when nothing is reserved.
    """
    if reservation is None:
        return _with_header(generation, b"")
    key, kind = reservation
    return _with_header(generation, key.to_bytes(8, "big") + bytes((0, 0, 0, 0, 0, LU_SCOPE << 4 | kind, 0, 0)))


_CRH, _SIP_C, _ATP_C, _PTPL_C = 0x10, 0x08, 0x04, 0x01
_TMV, _PTPL_A = 0x80, 0x01
_ALLOW_TEST_UNIT_READY = 0x10
"""ALLOW COMMANDS 001b: TEST UNIT READY is never refused; nothing is said of other commands."""
_TYPE_MASK = b"\xea\x01"
"""All six types."""


def capabilities_data(*, can_persist: bool, persists: bool) -> bytes:
    """REPORT CAPABILITIES: everything but persistence is always there.

    :param can_persist: PTPL_C: registrations can be kept over power loss.
    :param persists: PTPL_A: they are.
    """
    offered = _CRH | _SIP_C | _ATP_C | (_PTPL_C if can_persist else 0)
    state = _TMV | _ALLOW_TEST_UNIT_READY | (_PTPL_A if persists else 0)
    return bytes((0, 8, offered, state)) + _TYPE_MASK + bytes(2)


@dataclass(frozen=True, slots=True)
class FullStatus:
    """One registered I_T nexus for READ FULL STATUS.

    :param held: the type of the reservation that it holds, or None.
    """

    key: int
    transport_id: bytes
    relative_port: int
    held: ReservationType | None

    def encode(self) -> bytes:
        """The full status descriptor."""
        holder = self.held is not None
        state = bytes((holder, LU_SCOPE << 4 | (self.held or 0)))
        port = self.relative_port.to_bytes(2, "big")
        size = len(self.transport_id).to_bytes(4, "big")
        return self.key.to_bytes(8, "big") + bytes(4) + state + bytes(4) + port + size + self.transport_id


def full_status_data(generation: int, registrants: Iterable[FullStatus]) -> bytes:
    """READ FULL STATUS: every registered I_T nexus."""
    return _with_header(generation, b"".join(registrant.encode() for registrant in registrants))


def _with_header(generation: int, body: bytes) -> bytes:
    return generation.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body
