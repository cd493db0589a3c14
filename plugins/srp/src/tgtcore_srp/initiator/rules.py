"""What an answer of a target has to be, beyond being well formed (SRP r16a, clauses 5 and 6; SAM-5)."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from tgtcore_srp.initiator.violation import Violation
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import (
    MultiChannelAction,
    MultiChannelResult,
    RejectReason,
    ResponseCode,
    ResponseFlag,
    Solicited,
)
from tgtcore_srp.iu.response import Response

CHECK_CONDITION = 0x02
"""The SCSI status that comes with sense data (SAM-5 5.3)."""

_CHANNEL_RESULTS: Mapping[int, Container[int]] = {
    MultiChannelAction.SINGLE: {MultiChannelResult.NO_CHANNELS, MultiChannelResult.TERMINATED},
    MultiChannelAction.MULTI: {MultiChannelResult.NO_CHANNELS, MultiChannelResult.MAINTAINED},
}
_COMMAND_CODES = {ResponseCode.COMPLETE, ResponseCode.REQUEST_FIELDS_INVALID}
_MANAGEMENT_CODES = set(ResponseCode)


@dataclass(frozen=True)
class Rules:
    """What is expected of one target, where the standard leaves it open or a fabric differs.

    :param requests_max: the most requests that it has room for: those unanswered and those that may still be sent.
    :param may_request: whether it may send requests of its own.
    :param underrun_as_over: whether it reports underruns with the flags of overruns.
    """

    requests_max: int = 0x7FFF_FFFF
    may_request: bool = True
    underrun_as_over: bool = False


def check_login(request: LoginRequest, response: LoginResponse, rules: Rules) -> None:
    """The channel that was granted is one that was asked for.

    :raises Violation: it is not.
    """
    _check_tag("SRP_LOGIN_RSP", request.tag, response.tag)
    if not 0 < response.delta <= rules.requests_max:
        raise Violation(f"SRP_LOGIN_RSP: request limit {response.delta}, expected 1 to {rules.requests_max}")
    if response.it_iu_bytes < request.it_iu_bytes:
        raise Violation(
            f"SRP_LOGIN_RSP: takes units of {response.it_iu_bytes} bytes, {request.it_iu_bytes} were required"
        )
    if request.formats & ~response.formats:
        raise Violation(f"SRP_LOGIN_RSP: formats {response.formats:#06x}, required were {request.formats:#06x}")
    if response.channels not in _CHANNEL_RESULTS.get(request.channels, ()):
        raise Violation(f"SRP_LOGIN_RSP: multi-channel result {response.channels} for action {request.channels}")


def check_reject(request: LoginRequest, reject: LoginReject) -> None:
    """The rejection has a reason.

    :raises Violation: it has none.
    """
    _check_tag("SRP_LOGIN_REJ", request.tag, reject.tag)
    if reject.reason not in set(RejectReason):
        raise Violation(f"SRP_LOGIN_REJ: reason {reject.reason:#010x} is none of the standard")


def check_command_response(command: Command, response: Response, rules: Rules) -> None:
    """The answer is one to this command.

    :raises Violation: it is not.
    """
    if response.code is None:
        if response.status == CHECK_CONDITION and not response.sense:
            raise _wrong(response, "status CHECK CONDITION without sense data")
    else:
        _check_code(response, _COMMAND_CODES)
    flags = response.flags
    for side, buffer, count, under, over in (
        ("data-out", command.data_out, response.out_residual, ResponseFlag.DOUNDER, ResponseFlag.DOOVER),
        ("data-in", command.data_in, response.in_residual, ResponseFlag.DIUNDER, ResponseFlag.DIOVER),
    ):
        if bool(flags & (under | over)) != bool(count):
            raise _wrong(response, f"{side} residual count {count} with flags {flags:#04x}")
        if flags & under and rules.underrun_as_over:
            raise _wrong(response, f"{side} underrun is reported as one")
        room = buffer.length if buffer else 0
        if flags & under and count > room:
            raise _wrong(response, f"{side} underrun of {count} bytes in a buffer of {room}")
    _check_solicited(response, command.solicited, failed=bool(response.status or response.code))


def check_management_response(request: TaskManagement, response: Response) -> None:
    """The answer is one to this task management function.

    :raises Violation: it is not.
    """
    if response.code is None:
        raise _wrong(response, "task management function without a response code")
    _check_code(response, _MANAGEMENT_CODES)
    if response.sense or response.flags != ResponseFlag.RSPVALID:
        raise _wrong(response, f"task management function with flags {response.flags:#04x}")
    _check_solicited(response, request.solicited, failed=bool(response.code))


def _check_tag(unit: str, sent: int, found: int) -> None:
    if sent != found:
        raise Violation(f"{unit}: tag {found:#x}, expected {sent:#x}")


def _check_code(response: Response, codes: set[ResponseCode]) -> None:
    if response.code not in codes:
        raise _wrong(response, f"response code {response.code}")
    if response.status:
        raise _wrong(response, f"status {response.status:#04x} beside a response code")


def _check_solicited(response: Response, asked: int, *, failed: bool) -> None:
    wanted = asked & (Solicited.UCSOLNT if failed else Solicited.SCSOLNT)
    if response.solicited & Solicited.SOLNT and not wanted:
        raise _wrong(response, "solicited notification that was not asked for")


def _wrong(response: Response, what: str) -> Violation:
    return Violation(f"SRP_RSP to tag {response.tag:#x}: {what}")
