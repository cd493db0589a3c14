"""What a target asks of its own accord: SRP_CRED_REQ and SRP_T_LOGOUT (SRP 6.5, 6.10)."""

from typing import TYPE_CHECKING

from tgtcore_srp.credits import REQUEST_LIMIT_MIN
from tgtcore_srp.iu.opcodes import LoginRequestFlag, Solicited
from tgtcore_srp.iu.others import CreditRequest, TargetLogout

if TYPE_CHECKING:
    from tgtcore_srp.channel import Channel


class Requests:
    """The requests of the target through one channel: none where the fabric has no way for them, one unanswered at most."""

    def __init__(self, channel: "Channel") -> None:
        self._channel = channel
        self._unanswered: int | None = None
        self._last_tag = 0
        self._credit_notice = 0
        self._logout_notice = 0

    def agree(self, flags: int) -> None:
        """Take into account which requests the login wants to be solicited notifications.

        :param flags: of :class:`~tgtcore_srp.iu.opcodes.LoginRequestFlag`.
        """
        self._credit_notice = Solicited.SOLNT if flags & LoginRequestFlag.CRSOLNT else 0
        self._logout_notice = Solicited.SOLNT if flags & LoginRequestFlag.LOSOLNT else 0

    def credits_withheld(self) -> None:
        """A request has ended in silence: an initiator that has few left is told now, others with their next answer."""
        if self._channel.credits.left < REQUEST_LIMIT_MIN:
            self.offer()

    def offer(self) -> None:
        """Give withheld credits back as soon as that is possible."""
        channel = self._channel
        if not self._possible() or self._unanswered is not None or not channel.credits.withheld:
            return
        delta = channel.credits.give_back()
        if delta:
            self._unanswered = self._next_tag()
            slot = channel.slots.free.pop()
            channel.fabric.send(CreditRequest(self._unanswered, delta, self._credit_notice).build(), slot)

    def answered(self, tag: int) -> bool:
        """The initiator has answered a credit request; False: there was none with that tag."""
        if tag != self._unanswered:
            return False
        self._unanswered = None
        self.offer()
        return True

    def log_out(self, reason: int) -> None:
        """Tell the initiator that the channel ends.

        :param reason: of :class:`~tgtcore_srp.iu.opcodes.LogoutReason`.
        """
        if self._possible():
            slot = self._channel.slots.free.pop()
            self._channel.fabric.send(TargetLogout(self._next_tag(), reason, self._logout_notice).build(), slot)

    def _possible(self) -> bool:
        channel = self._channel
        return channel.fabric.may_request and channel.is_logged_in and bool(channel.slots.free)

    def _next_tag(self) -> int:
        self._last_tag += 1
        return self._last_tag
