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
