"""Text requests of the full feature phase: SendTargets, late declarations, long answers (RFC 7143 6.2, 11.10, 11.11)."""

import itertools
from typing import NamedTuple

from tgtcore_iscsi.discovery import FindTargets, encode_records, send_targets
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import TEXT_BYTES_MAX, TEXT_REQUESTS_MAX
from tgtcore_iscsi.negotiation import KeyGate, Negotiation
from tgtcore_iscsi.parameters import Offer, Parameters
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, TEXT_CONTINUE, RejectReason, Stage
from tgtcore_iscsi.text import Pairs, TextAssembler, TextOutbox, encode_pairs
from tgtcore_iscsi.values import NOT_UNDERSTOOD, REJECT

_SEND_TARGETS = "SendTargets"


class TextAnswer(NamedTuple):
    """What a Text Response carries; LUN is 0 and ITT that of the request."""

    flags: int
    ttt: int
    data: bytes


class TextPhase:
    """The text negotiations of one connection, one at a time.

    :ivar parameters: the values in force; a request may have changed ``max_send_data_segment_length``.
    """

    def __init__(self, parameters: Parameters, find_targets: FindTargets, *, session_target: str = "") -> None:
        """Answer with what ``find_targets`` returns; ``session_target`` is empty in a discovery session."""
        self.parameters = parameters
        self._find_targets = find_targets
        self._session_target = session_target
        self._tag = 0
        self._reset()

    def receive(self, flags: int, itt: int, ttt: int, data: bytes) -> TextAnswer:
        """Answer one Text Request.

        :raises RemoteProtocolError: reject the request with the reason of the error; the negotiation is forgotten.
        """
        try:
            self._begin_or_go_on(itt, ttt)
            return self._answer(flags, data)
        except RemoteProtocolError:
            self._reset()
            raise

    def _reset(self) -> None:
        self._itt = NO_TAG
        self._ttt = NO_TAG
        self._count = 0
        self._sending = False
        self._text = TextAssembler()
        self._outbox = TextOutbox()
        self._gate = KeyGate(leading=False)
        self._negotiation = Negotiation(Offer(), base=self.parameters)

    def _begin_or_go_on(self, itt: int, ttt: int) -> None:
        if ttt == NO_TAG:
            self._reset()
            self._itt = itt
            self._tag = self._tag % (NO_TAG - 1) + 1
            self._ttt = self._tag
        elif ttt != self._ttt or itt != self._itt:
            raise RemoteProtocolError(
                f"text request with TTT {ttt:#x} and ITT {itt:#x} belongs to no negotiation",
                reason=RejectReason.INVALID_PDU_FIELD,
            )
        self._count += 1
        if self._count > TEXT_REQUESTS_MAX:
            raise RemoteProtocolError(f"more than {TEXT_REQUESTS_MAX} requests in one text negotiation")

    def _answer(self, flags: int, data: bytes) -> TextAnswer:
        final, more = bool(flags & FINAL), bool(flags & TEXT_CONTINUE)
        if final and more:
            raise RemoteProtocolError("F and C bits are both set")
        if self._sending:
            if data or more:
                raise RemoteProtocolError("new text before the last answer was fetched")
            return self._send_piece(final=final)
        pairs = self._text.add(data, more=more)
        if pairs is None:
            return TextAnswer(0, self._ttt, b"")
        self._outbox = self._answer_keys(pairs)
        return self._send_piece(final=final)

    def _answer_keys(self, pairs: Pairs) -> TextOutbox:
        answers: Pairs = []
        records = None
        for name, value in pairs:
            key = self._gate.admit(name, value, Stage.FULL_FEATURE)
            if key is None:
                answers.append((name, NOT_UNDERSTOOD))
            elif name == _SEND_TARGETS:
                records = send_targets(value, self._find_targets, self._session_target)
                if records is None:
                    answers.append((name, REJECT))
            else:
                self._negotiation.answer(key, value)
        return TextOutbox(itertools.chain((encode_pairs(answers),), encode_records(records or ())))

    def _send_piece(self, *, final: bool) -> TextAnswer:
        piece, more = self._outbox.next_piece(min(self.parameters.max_send_data_segment_length, TEXT_BYTES_MAX))
        self._sending = more
        if more or not final:
            return TextAnswer(TEXT_CONTINUE if more else 0, self._ttt, piece)
        self.parameters = self._negotiation.parameters()
        self._reset()
        return TextAnswer(FINAL, NO_TAG, piece)
