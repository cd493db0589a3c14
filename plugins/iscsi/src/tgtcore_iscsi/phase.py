"""What every logged-in connection does: requests in the order of their numbers, responses with theirs.

Sans-I/O: the connection hands over one complete PDU at a time.
"""

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from tgtcore_iscsi.discovery import FindTargets
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import AHEAD_PDUS_MAX
from tgtcore_iscsi.pdu.codes import IMMEDIATE, OPCODE_MASK, RejectReason
from tgtcore_iscsi.services import Services
from tgtcore_iscsi.text_phase import TextPhase

if TYPE_CHECKING:
    from tgtcore_iscsi.connection import Connection
    from tgtcore_iscsi.parameters import Parameters
    from tgtcore_iscsi.session import Session

_MASK = 0xFFFFFFFF
_cmd_sn = Struct(">I").unpack_from
_CMD_SN_AT = 24

Request = Callable[[bytearray | bytes, int, int, int, int], None]
"""(buffer, offset of the header, offset of the data, data length, AHS length); padding and digests are checked already."""


class SessionPhase:
    """The part of the full feature phase that normal and discovery sessions share.

    :param stat_sn: the next StatSN.
    :param find_targets: what SendTargets may tell.
    """

    def __init__(
        self,
        connection: "Connection",
        session: "Session",
        parameters: "Parameters",
        stat_sn: int,
        find_targets: FindTargets,
    ) -> None:
        self.connection = connection
        self.session = session
        self.window = session.window
        self.parameters = parameters
        self.stat_sn = stat_sn
        self.closed = False
        self.data_in_bytes = 0
        """What the initiator expects of its unfinished commands."""
        target = session.target.name if session.target is not None else ""
        self.text = TextPhase(parameters, find_targets, session_target=target)
        self.services = Services(self)
        self._send = connection.send
        self._ahead: dict[int, bytes | None] = {}
        """Requests that came too early, by CmdSN; None: it was aborted before it came."""
        self._requests: dict[int, Request] = self.services.requests()

    def __str__(self) -> str:
        return str(self.session)

    def request(self, buffer: bytearray, at: int, data_at: int, data_length: int, ahs_length: int) -> None:
        """Handle one PDU.

        :raises RemoteProtocolError: the peer broke the protocol; the connection must end.
        """
        handler = self._requests.get(buffer[at] & OPCODE_MASK)
        if handler is None:
            raise RemoteProtocolError(
                f"opcode {buffer[at] & OPCODE_MASK:#04x} is not for this phase",
                reason=RejectReason.COMMAND_NOT_SUPPORTED,
            )
        handler(buffer, at, data_at, data_length, ahs_length)
        if self._ahead:
            self._replay()

    @property
    def can_take_more(self) -> bool:
        """Whether there is memory for more requests."""
        return True

    @property
    def held_bytes(self) -> int:
        """What unfinished commands have in buffers, or will still put there."""
        return self.data_in_bytes

    def in_order(self, buffer: bytearray | bytes, at: int, end: int) -> bool:
        """Whether a request is to be handled now (RFC 7143 4.2.2.1).

        One outside the window is ignored, one that came too early is kept.
        """
        if buffer[at] & IMMEDIATE:
            return True
        cmd_sn: int = _cmd_sn(buffer, at + _CMD_SN_AT)[0]
        window = self.window
        if not window.admits(cmd_sn):
            return False
        if cmd_sn == window.exp_cmd_sn:
            window.advance()
            return True
        if cmd_sn not in self._ahead:
            self._put_ahead(cmd_sn, bytes(buffer[at:end]))
        return False

    def forgo(self, cmd_sn: int) -> None:
        """Count a request as received that lies in the window and has not had its turn; it will be ignored if it comes."""
        self._put_ahead(cmd_sn, None)

    def _put_ahead(self, cmd_sn: int, pdu: bytes | None) -> None:
        if len(self._ahead) >= AHEAD_PDUS_MAX and cmd_sn not in self._ahead:
            raise RemoteProtocolError(f"CmdSN {self.window.exp_cmd_sn} is missing since {AHEAD_PDUS_MAX} requests")
        self._ahead[cmd_sn] = pdu

    def _replay(self) -> None:
        window = self.window
        while window.exp_cmd_sn in self._ahead:
            pdu = self._ahead.pop(window.exp_cmd_sn)
            if pdu is None:
                window.advance()
                window.open_by_one()
                continue
            data_length = int.from_bytes(pdu[5:8], "big")
            self._requests[pdu[0] & OPCODE_MASK](pdu, 0, len(pdu) - data_length, data_length, pdu[4] * 4)

    def take_parameters(self, parameters: "Parameters") -> None:
        """A text negotiation has changed what was agreed (the initiator's MaxRecvDataSegmentLength)."""
        self.parameters = parameters

    def next_stat_sn(self) -> int:
        """The StatSN of the response that is being built."""
        stat_sn = self.stat_sn
        self.stat_sn = (stat_sn + 1) & _MASK
        return stat_sn

    def reject(self, error: RemoteProtocolError, header: bytes) -> None:
        """Refuse a PDU (RFC 7143 11.17)."""
        self.services.reject(error.reason, header)

    def log_out(self, then: Callable[[], None]) -> None:
        """The initiator ends the session; as :meth:`close`."""
        self.close(then)

    def close(self, then: Callable[[], None]) -> None:
        """The connection is gone or going; ``then`` when the last task has ended.  May be called more than once."""
        self.closed = True
        self._ahead.clear()
        self._requests.clear()  # RFC 7143 11.14: no request may follow the one to log out
        then()
