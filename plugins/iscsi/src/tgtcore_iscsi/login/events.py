"""What a login tells its caller."""

from dataclasses import dataclass

from tgtcore_iscsi.login.policy import Admission, Candidate, Seat
from tgtcore_iscsi.parameters import Parameters
from tgtcore_iscsi.pdu.codes import LoginStatus


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes, a whole PDU; digests are never used during login."""

    pdu: bytes


@dataclass(frozen=True, slots=True)
class SessionWanted:
    """Only a place in a session is missing: answer with ``Login.grant`` or ``Login.refuse``, now or later.

    This is the moment to end the session or connection that is being reinstated, and to assign a TSIH.

    :ivar cmd_sn: where the initiator begins to count; ExpCmdSN of a new session.
    """

    candidate: Candidate
    admission: Admission
    chap_name: str | None
    parameters: Parameters
    cmd_sn: int


@dataclass(frozen=True, slots=True)
class LoginDone:
    """The full feature phase has begun, in force from the next PDU in both directions.

    :ivar stat_sn: the next StatSN to use.
    """

    candidate: Candidate
    admission: Admission
    chap_name: str | None
    parameters: Parameters
    seat: Seat
    stat_sn: int


@dataclass(frozen=True, slots=True)
class LoginFailed:
    """The connection must be closed when everything before this event has been sent.

    :ivar status: what the initiator was told, ``None`` when it did not speak iSCSI and was told nothing.
    """

    status: LoginStatus | None
    message: str


Event = Send | SessionWanted | LoginDone | LoginFailed
