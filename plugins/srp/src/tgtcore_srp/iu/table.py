"""Which information units travel in which direction."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import Unit, opcode_and_tag
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import LogoutReason, Opcode
from tgtcore_srp.iu.others import (
    CreditRequest,
    CreditResponse,
    EventRequest,
    EventResponse,
    InitiatorLogout,
    TargetLogout,
)
from tgtcore_srp.iu.response import Response

FromInitiator = LoginRequest | TaskManagement | Command | InitiatorLogout | CreditResponse | EventResponse
FromTarget = LoginResponse | LoginReject | Response | TargetLogout | CreditRequest | EventRequest

FROM_INITIATOR: Final[Mapping[int, Callable[[Unit], FromInitiator]]] = {
    Opcode.LOGIN_REQ: LoginRequest.parse,
    Opcode.TSK_MGMT: TaskManagement.parse,
    Opcode.CMD: Command.parse,
    Opcode.I_LOGOUT: InitiatorLogout.parse,
    Opcode.CRED_RSP: CreditResponse.parse,
    Opcode.AER_RSP: EventResponse.parse,
}
"""How to read what an initiator sends, by opcode; commands without immediate data."""

FROM_TARGET: Final[Mapping[int, Callable[[Unit], FromTarget]]] = {
    Opcode.LOGIN_RSP: LoginResponse.parse,
    Opcode.LOGIN_REJ: LoginReject.parse,
    Opcode.RSP: Response.parse,
    Opcode.T_LOGOUT: TargetLogout.parse,
    Opcode.CRED_REQ: CreditRequest.parse,
    Opcode.AER_REQ: EventRequest.parse,
}
"""How to read what a target sends, by opcode."""

_Read = TypeVar("_Read")


def parse_from_initiator(unit: Unit) -> FromInitiator:
    """Read whatever an initiator has sent; a command without immediate data.

    :raises Malformed: it breaks the standard.
    """
    return _parse(FROM_INITIATOR, unit, "an initiator")


def parse_from_target(unit: Unit) -> FromTarget:
    """Read whatever a target has sent.

    :raises Malformed: it breaks the standard.
    """
    return _parse(FROM_TARGET, unit, "a target")


def _parse(parsers: Mapping[int, Callable[[Unit], _Read]], unit: Unit, sender: str) -> _Read:
    opcode, _ = opcode_and_tag(unit)
    parse = parsers.get(opcode)
    if parse is None:
        what = "SRP information unit"
        raise Malformed(what, "opcode", f"{opcode:#04x}", f"one that {sender} sends", LogoutReason.INVALID_TYPE)
    return parse(unit)
