"""The two ways a protocol can be broken, and what to answer when the peer broke it."""

from tgtcore import TgtError
from tgtcore_iscsi.pdu.codes import LoginStatus, RejectReason


class LocalProtocolError(TgtError):
    """This side called a state machine out of order: a defect of the caller, not of the peer."""


class RemoteProtocolError(TgtError):
    """The peer broke RFC 7143; only its own connection or request suffers.

    The message holds nothing secret and nothing unprintable that the peer has sent.

    :param status: what a login is refused with.
    :param reason: what a request of the full feature phase is rejected with.
    """

    def __init__(
        self,
        message: str,
        *,
        status: LoginStatus = LoginStatus.INITIATOR_ERROR,
        reason: RejectReason = RejectReason.PROTOCOL_ERROR,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
