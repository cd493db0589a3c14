"""What a login must ask for, and what it is answered (SRP 6.2 to 6.4)."""

from typing import TYPE_CHECKING

from tgtcore_srp.errors import Rejected
from tgtcore_srp.iu.login import IT_IU_BYTES_MIN, LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import BufferFormats, LoginRequestFlag, LoginResponseFlag, RejectReason

if TYPE_CHECKING:
    from tgtcore_srp.channel import Channel

FORMATS = BufferFormats.DIRECT | BufferFormats.INDIRECT
"""What is supported."""


def check(request: LoginRequest, channel: "Channel") -> None:
    """See whether a channel can do what a login requires.

    :raises Rejected: it can't.
    """
    most = channel.fabric.iu_bytes_max
    if request.it_iu_bytes > most:
        raise Rejected(
            RejectReason.IU_LENGTH_TOO_LARGE,
            f"it wants to send {request.it_iu_bytes} bytes at once, expected {most} at most",
        )
    if request.it_iu_bytes < IT_IU_BYTES_MIN:
        raise Rejected(
            RejectReason.UNABLE_TO_ESTABLISH_CHANNEL,
            f"it wants to send {request.it_iu_bytes} bytes at once, expected {IT_IU_BYTES_MIN} at least",
        )
    if request.formats & ~FORMATS or not request.formats:
        raise Rejected(
            RejectReason.UNSUPPORTED_FORMAT,
            f"it requires descriptor formats {request.formats:#x}, expected some of {FORMATS:#x}",
        )


def immediate_offset(request: LoginRequest, channel: "Channel") -> int:
    """Where immediate data is going to begin in commands; 0: there is none."""
    wanted = channel.quirks.immediate_data and request.flags & LoginRequestFlag.IMMEDIATE
    return request.immediate_offset if wanted and request.immediate_offset < channel.fabric.iu_bytes_max else 0


def response(request: LoginRequest, channel: "Channel", result: int) -> LoginResponse:
    """The answer to a login that is accepted.

    :param result: of :class:`~tgtcore_srp.iu.opcodes.MultiChannelResult`.
    """
    flags = result
    if channel.quirks.notifies:
        flags |= LoginResponseFlag.SOLNTSUP
    if immediate_offset(request, channel):
        flags |= LoginResponseFlag.IMMEDIATE
    fabric = channel.fabric
    return LoginResponse(
        request.tag, channel.credits.limit, fabric.iu_bytes_max, fabric.answer_bytes_max, FORMATS, flags
    )
