"""Transport events: what the hypervisor itself puts into a command/response queue (LoPAR 17.2.3.1.1)."""

from enum import IntEnum

VALID = 0xFF
"""First byte of such an element; no partition can send one."""


class TransportEvent(IntEnum):
    """The second byte: what has happened."""

    PARTNER_FAILED = 0x01
    """The partner partition has ended without a word."""
    PARTNER_DEREGISTERED = 0x02
    """The partner has freed its queue."""
    MIGRATED = 0x06
    """The client partition is on another machine now; its queue must be enabled again."""
    PREPARE_FOR_SUSPEND = 0x09
    """The client partition is about to be suspended."""
    RESUME = 0x0A
    """The client partition goes on."""

    @property
    def element(self) -> bytes:
        """The element of the queue that tells of it."""
        return bytes((VALID, self)) + bytes(14)
