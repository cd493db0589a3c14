"""SRP_TSK_MGMT: a task management function (SRP r16a, 6.7)."""

import struct
from typing import Final, NamedTuple

from tgtcore_srp.iu.header import Unit, check
from tgtcore_srp.iu.opcodes import Opcode

TASK_MANAGEMENT_BYTES: Final = 48

_REQUEST = struct.Struct(">BB6xQ4xQ2xBxQ8x")


class TaskManagement(NamedTuple):
    """One request; its answer is SRP_RSP with a response code.

    :param tag: its own.
    :param lun: the LUN field: eight bytes as a big-endian number.
    :param function: one of :class:`~tgtcore_srp.iu.opcodes.TaskManagementFunction`, or one that nobody knows.
    :param task_tag: the command that ABORT TASK means.
    :param solicited: bits SCSOLNT and UCSOLNT of :class:`~tgtcore_srp.iu.opcodes.Solicited`.
    """

    tag: int
    lun: int
    function: int
    task_tag: int = 0
    solicited: int = 0

    @staticmethod
    def parse(unit: Unit) -> "TaskManagement":
        """Read an information unit.

        :raises Malformed: it is not one, or too short.
        """
        check(unit, Opcode.TSK_MGMT, TASK_MANAGEMENT_BYTES)
        _, solicited, tag, lun, function, task_tag = _REQUEST.unpack_from(unit)
        return TaskManagement(tag, lun, function, task_tag, solicited)

    def build(self) -> bytes:
        """The 48 bytes of the information unit."""
        return _REQUEST.pack(Opcode.TSK_MGMT, self.solicited, self.tag, self.lun, self.function, self.task_tag)
