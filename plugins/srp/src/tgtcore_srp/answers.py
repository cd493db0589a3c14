"""The answers to requests: SRP_RSP with what the task has ended with, as the initiator wants to read it."""

from typing import TYPE_CHECKING

from tgtcore_srp.iu.opcodes import ResponseFlag, Solicited
from tgtcore_srp.iu.response import RESPONSE_BYTES, build_good, build_response

if TYPE_CHECKING:
    from tgtcore_srp.quirks import Quirks
    from tgtcore_srp.task import SrpTask

_RESIDUAL_MAX = 0xFFFF_FFFF
_BY_THE_STANDARD = ResponseFlag.DOOVER, ResponseFlag.DOUNDER, ResponseFlag.DIOVER, ResponseFlag.DIUNDER
_AS_OVERRUN = ResponseFlag.DOOVER, ResponseFlag.DOOVER, ResponseFlag.DIOVER, ResponseFlag.DIOVER
_SOLNT, _SCSOLNT, _UCSOLNT = map(int, (Solicited.SOLNT, Solicited.SCSOLNT, Solicited.UCSOLNT))


class Answers:
    """How one channel's initiator is answered.

    :param answer_bytes_max: the longest information unit that it takes.
    """

    __slots__ = ("_flags", "_notifies", "_sense_bytes_max")

    def __init__(self, quirks: "Quirks", answer_bytes_max: int) -> None:
        self._flags = tuple(map(int, _AS_OVERRUN if quirks.underrun_as_over else _BY_THE_STANDARD))
        self._notifies = quirks.notifies
        self._sense_bytes_max = max(0, min(quirks.sense_bytes_max, answer_bytes_max - RESPONSE_BYTES))

    def of_task(self, task: "SrpTask", delta: int) -> bytes:
        """The answer to a command that has ended, data-in delivered.

        :param delta: REQUEST LIMIT DELTA.
        """
        status, sense = task.status, task.sense
        data = task.data_in
        delivered = 0 if data is None or sense else len(data)
        if task.refusal is not None:
            status, sense = task.refusal
            delivered = 0
        if status or delivered != task.expected_in or task.wanted_out != task.expected_out or task.solicited:
            return self._unusual(task, delta, status, sense, delivered)
        return build_good(delta, task.tag)

    def _unusual(self, task: "SrpTask", delta: int, status: int, sense: bytes, delivered: int) -> bytes:
        """With a status, with residual counts, or with a solicited notification."""
        over_out, under_out, over_in, under_in = self._flags
        out_flag, out_residual = _residual(task.expected_out, task.wanted_out, over_out, under_out)
        in_flag, in_residual = _residual(task.expected_in, delivered, over_in, under_in)
        solicited = self.notice(task.solicited, good=not status)
        sense = sense[: self._sense_bytes_max]
        return build_response(
            task.tag, delta, status, out_flag | in_flag, out_residual, in_residual, sense, None, solicited
        )

    def refusal(self, tag: int, delta: int, status: int, sense: bytes, solicited: int) -> bytes:
        """The answer to a command that was not accepted."""
        solicited = self.notice(solicited, good=False)
        return build_response(tag, delta, status, 0, 0, 0, sense[: self._sense_bytes_max], None, solicited)

    def of_function(self, tag: int, delta: int, code: int, solicited: int) -> bytes:
        """The answer to a task management function, or to a request for one that is malformed.

        :param code: of :class:`~tgtcore_srp.iu.opcodes.ResponseCode`.
        """
        return build_response(tag, delta, 0, 0, 0, 0, b"", code, self.notice(solicited, good=not code))

    def notice(self, solicited: int, *, good: bool) -> int:
        """Whether an answer is a solicited notification: bit SOLNT."""
        asked = solicited & (_SCSOLNT if good else _UCSOLNT)
        return _SOLNT if asked and self._notifies else 0


def _residual(expected: int, moved: int, over: int, under: int) -> tuple[int, int]:
    """Flag and count: what a command wants moved beside what its buffer has room for."""
    if moved == expected:
        return 0, 0
    if moved < expected:
        return under, expected - moved
    return over, min(moved - expected, _RESIDUAL_MAX)
