"""Headers of login requests, checked one against the next, and of the responses to them (RFC 7143 11.12, 11.13)."""

from typing import Final

from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import LOGIN_DATA_SEGMENT_BYTES_MAX, LOGIN_REQUESTS_MAX
from tgtcore_iscsi.login.policy import Seat
from tgtcore_iscsi.pdu.codes import LOGIN_CONTINUE, LOGIN_TRANSIT, LoginStatus, Stage
from tgtcore_iscsi.pdu.requests import LoginRequest
from tgtcore_iscsi.pdu.responses import LOGIN_RESPONSE, LoginResponse

VERSION: Final = 0x00
"""The only version there is (11.12.4)."""

_CSG_SHIFT: Final = 2
_STAGE_MASK: Final = 3
_CONSTANT: Final = ("isid", "tsih", "cid", "itt", "version_max", "version_min")
"""Fields that keep their value from the first login request to the last."""


class RequestCheck:
    """Checks each login request of a connection against the rules and against the first one.

    :ivar stage: where the login is; the first request says where it begins.
    """

    def __init__(self) -> None:
        self.stage = Stage.SECURITY
        self._first: LoginRequest | None = None
        self._count = 0

    def check(self, request: LoginRequest) -> None:
        """Refuse a header that may not come now.

        :raises RemoteProtocolError: says which field is wrong.
        """
        self._count += 1
        if self._count > LOGIN_REQUESTS_MAX:
            raise RemoteProtocolError(f"more than {LOGIN_REQUESTS_MAX} login requests on one connection")
        if request.lengths > LOGIN_DATA_SEGMENT_BYTES_MAX:
            raise RemoteProtocolError(
                f"login request with additional headers or more than {LOGIN_DATA_SEGMENT_BYTES_MAX} bytes of data"
            )
        if request.version_min > VERSION:
            raise RemoteProtocolError(
                f"iSCSI version {request.version_min} is not supported, expected {VERSION}",
                status=LoginStatus.UNSUPPORTED_VERSION,
            )
        stage = _stage(request.flags >> _CSG_SHIFT & _STAGE_MASK)
        if self._first is None:
            self._first, self.stage = request, stage
        for name in _CONSTANT:
            if getattr(request, name) != getattr(self._first, name):
                raise RemoteProtocolError(f"{name.upper()} changed during login")
        if stage is Stage.FULL_FEATURE or stage is not self.stage:
            raise RemoteProtocolError(f"CSG is {stage}, expected {self.stage:d}")
        if request.flags & LOGIN_TRANSIT:
            self._check_transit(request.flags)

    def _check_transit(self, flags: int) -> None:
        if flags & LOGIN_CONTINUE:
            raise RemoteProtocolError("T and C bits are both set")
        if _stage(flags & _STAGE_MASK) <= self.stage:
            raise RemoteProtocolError(f"NSG is {flags & _STAGE_MASK}, expected more than CSG, {self.stage:d}")


def _stage(number: int) -> Stage:
    try:
        return Stage(number)
    except ValueError:
        raise RemoteProtocolError(f"stage {number} is reserved") from None


def wanted_stage(request: LoginRequest) -> Stage | None:
    """Return the stage that a checked request asks to go to, ``None`` if it stays."""
    return Stage(request.flags & _STAGE_MASK) if request.flags & LOGIN_TRANSIT else None


def answer_flags(stage: Stage, *, more: bool = False, transit: Stage | None = None) -> int:
    """Return byte 1 of a response: where the login is, whether text follows, where it goes now."""
    flags = stage << _CSG_SHIFT
    if more:
        return flags | LOGIN_CONTINUE
    return flags if transit is None else flags | LOGIN_TRANSIT | transit


def response_header(
    request: LoginRequest,
    seat: Seat | None,
    *,
    flags: int,
    length: int,
    stat_sn: int,
    status: LoginStatus = LoginStatus.SUCCESS,
) -> bytes:
    """Return the header of the answer to ``request``; without a seat in a session its own numbers are echoed."""
    return LOGIN_RESPONSE.build(
        LoginResponse(
            flags=flags,
            version_max=VERSION,
            version_active=VERSION,
            lengths=length,
            isid=request.isid,
            tsih=request.tsih if seat is None else seat.tsih,
            itt=request.itt,
            stat_sn=stat_sn,
            exp_cmd_sn=request.cmd_sn if seat is None else seat.exp_cmd_sn,
            max_cmd_sn=request.cmd_sn if seat is None else seat.max_cmd_sn,
            status_class=status >> 8,
            status_detail=status & 0xFF,
        )
    )
