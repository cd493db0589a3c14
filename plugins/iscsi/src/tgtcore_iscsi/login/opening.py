"""The first request of a login: who asks for what (RFC 7143 6.3.1, 13.4, 13.5, 13.21)."""

from collections.abc import Mapping

from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.keys import KEYS
from tgtcore_iscsi.login.policy import Candidate
from tgtcore_iscsi.names import InvalidName, peer_name
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.pdu.requests import LoginRequest

DISCOVERY = "Discovery"
_SESSION_TYPES = frozenset((KEYS["SessionType"].default, DISCOVERY))


def read_candidate(request: LoginRequest, keys: Mapping[str, str]) -> Candidate:
    """Return who asks for what.

    :raises RemoteProtocolError: a name is missing or malformed, or the session type is unknown.
    """
    session_type = keys.get("SessionType", KEYS["SessionType"].default)
    if session_type not in _SESSION_TYPES:
        raise RemoteProtocolError(
            f"SessionType {session_type[:32]!a} is unknown, expected Normal or Discovery",
            status=LoginStatus.SESSION_TYPE_NOT_SUPPORTED,
        )
    return Candidate(
        initiator_name=_name(keys, "InitiatorName", LoginStatus.INITIATOR_ERROR),
        target_name="" if session_type == DISCOVERY else _name(keys, "TargetName", LoginStatus.NOT_FOUND),
        isid=request.isid,
        tsih=request.tsih,
        cid=request.cid,
        initiator_alias=keys.get("InitiatorAlias", ""),
    )


def _name(keys: Mapping[str, str], key: str, malformed: LoginStatus) -> str:
    if key not in keys:
        raise RemoteProtocolError(
            f"{key} is missing from the first login request", status=LoginStatus.MISSING_PARAMETER
        )
    try:
        return peer_name(keys[key])
    except InvalidName as error:
        raise RemoteProtocolError(f"{key}: {error}", status=malformed) from None
