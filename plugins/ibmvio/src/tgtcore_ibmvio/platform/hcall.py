"""Return codes of hypervisor calls (LoPAR 14.1.3, table "Hypervisor Call Return Code Values")."""

from enum import IntEnum


class Hcall(IntEnum):
    """What the hypervisor says to a call of virtual I/O."""

    SUCCESS = 0
    BUSY = 1
    """Ask again at once."""
    CLOSED = 2
    """The partner has no queue: of H_SEND_CRQ, nothing was sent; of H_REG_CRQ, the queue is there and the partner is not yet."""
    IN_PROGRESS = 14
    """Of H_ENABLE_CRQ: ask again."""
    HARDWARE = -1
    PARAMETER = -4
    PERMISSION = -11
    """The address is not mapped for this kind of access."""
    DROPPED = -12
    """The partner's queue is full; nothing was sent."""
    SOURCE_PARM = -13
    DEST_PARM = -14
    RESOURCE = -16
    """Of H_REG_CRQ: there is a queue already."""
    LONG_BUSY_ORDER_1_MS = 9900
    """Ask again in about a millisecond; the others likewise."""
    LONG_BUSY_ORDER_10_MS = 9901
    LONG_BUSY_ORDER_100_MS = 9902
    LONG_BUSY_ORDER_1_S = 9903
    LONG_BUSY_ORDER_10_S = 9904
    LONG_BUSY_ORDER_100_S = 9905

    @property
    def wait_s(self) -> float:
        """How long the hypervisor wants to be left alone before the call is made again; 0: it says nothing of that."""
        return _WAITS_S.get(self, 0.0)


_WAITS_S = {code: 10.0 ** (code - Hcall.LONG_BUSY_ORDER_1_S) for code in Hcall if code >= Hcall.LONG_BUSY_ORDER_1_MS}
