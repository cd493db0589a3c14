"""The login of a channel: what it must ask for, and what it is answered (SRP 6.2 to 6.4)."""

from typing import TYPE_CHECKING

from tgtcore_srp.errors import Rejected
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import opcode_and_tag
from tgtcore_srp.iu.login import IT_IU_BYTES_MIN, LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import BufferFormats, LoginRequestFlag, LoginResponseFlag, RejectReason

if TYPE_CHECKING:
    from tgtcore_srp.channel import Channel
    from tgtcore_srp.port import SrpPort
    from tgtcore_srp.session import Session
    from tgtcore_srp.slots import Slot

FORMATS = int(BufferFormats.DIRECT | BufferFormats.INDIRECT)
"""What is supported; immediate data has a flag of its own."""


class Login:
    """The login of one channel.  It may take its time, and a rejected initiator may try again."""

    def __init__(self, channel: "Channel", port: "SrpPort") -> None:
        self._channel = channel
        self._port = port
        self._pending: tuple[Slot, LoginRequest] | None = None

    @property
    def is_pending(self) -> bool:
        """Whether there is a login without an answer."""
        return self._pending is not None

    def arrived(self, slot: "Slot", length: int) -> None:
        """Take an SRP_LOGIN_REQ."""
        try:
            request = LoginRequest.parse(slot.view[:length])
            self._check(request)
        except Malformed as error:
            self._send_reject(slot, Rejected(RejectReason.UNABLE_TO_ESTABLISH_CHANNEL, str(error)))
        except Rejected as rejected:
            self._send_reject(slot, rejected)
        else:
            self._pending = slot, request
            self._channel.logging_in()
            self._port.login(self._channel, request)

    def arrived_again(self, slot: "Slot", length: int) -> None:
        """Take one from who is logged in."""
        self._send_reject(slot, Rejected(RejectReason.CHANNEL_LIMIT_REACHED, "the channel is logged in already"))

    def accept(self, session: "Session", result: int) -> None:
        """It succeeds; memory for all requests is reserved.

        :param result: of :class:`~tgtcore_srp.iu.opcodes.MultiChannelResult`.
        """
        assert self._pending is not None
        (slot, request), self._pending = self._pending, None
        offset = self._immediate_offset(request)
        self._channel.logged_in(session, request.flags, offset)
        flags = result
        if self._channel.quirks.notifies:
            flags |= LoginResponseFlag.SOLNTSUP
        if offset:
            flags |= LoginResponseFlag.IMMEDIATE
        fabric, limit = self._channel.fabric, self._channel.credits.limit
        answer = LoginResponse(request.tag, limit, fabric.iu_bytes_max, fabric.answer_bytes_max, FORMATS, flags)
        fabric.send(answer.build(), slot)

    def reject(self, rejected: Rejected) -> None:
        """It fails; the initiator may try again."""
        assert self._pending is not None
        (slot, _), self._pending = self._pending, None
        self._channel.logged_out()
        self._send_reject(slot, rejected)

    def give_up(self) -> None:
        """Nobody waits for an answer any more; idempotent."""
        if self._pending is not None:
            self._channel.slots.give(self._pending[0])
            self._pending = None

    def _send_reject(self, slot: "Slot", rejected: Rejected) -> None:
        self._channel.complain(f"login rejected: {rejected}")
        _, tag = opcode_and_tag(slot.view)
        self._channel.fabric.send(LoginReject(tag, rejected.reason, FORMATS).build(), slot)

    def _check(self, request: LoginRequest) -> None:
        """See whether the channel can do what a login requires.

        :raises Rejected: it can't.
        """
        least, most = IT_IU_BYTES_MIN, self._channel.fabric.iu_bytes_max
        length, formats = request.it_iu_bytes, request.formats
        if length > most:
            raise Rejected(RejectReason.IU_LENGTH_TOO_LARGE, f"units of {length} bytes, expected {most} at most")
        if length < least:
            why = f"units of {length} bytes, expected {least} at least"
            raise Rejected(RejectReason.UNABLE_TO_ESTABLISH_CHANNEL, why)
        if formats & ~FORMATS or not formats:
            why = f"descriptor formats {formats:#x}, expected some of {FORMATS:#x}"
            raise Rejected(RejectReason.UNSUPPORTED_FORMAT, why)

    def _immediate_offset(self, request: LoginRequest) -> int:
        """Where immediate data is going to begin in commands; 0: there is none."""
        wanted = self._channel.quirks.immediate_data and request.flags & LoginRequestFlag.IMMEDIATE
        return request.immediate_offset if wanted else 0
