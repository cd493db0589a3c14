"""The guest's calls that concern virtual SCSI: number, and what is done at each (LoPAR 14.5)."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum, auto

from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.qemu_pseries.client import Client


class Opcode(IntEnum):
    """Numbers of hypervisor calls; the first argument of each is the adapter's unit address, or its window's number, which QEMU
    makes the same."""

    PUT_TCE = 0x20
    REG_CRQ = 0xFC
    FREE_CRQ = 0x100
    VIO_SIGNAL = 0x104
    SEND_CRQ = 0x108
    STUFF_TCE = 0x138
    PUT_TCE_INDIRECT = 0x13C
    ENABLE_CRQ = 0x2B0


class Order(Enum):
    """When we have our turn."""

    BEFORE_QEMU = auto()
    """We take notice, and QEMU answers."""
    AFTER_QEMU = auto()
    """Where QEMU says SUCCESS we have the last word."""
    INSTEAD_OF_QEMU = auto()


@dataclass(frozen=True)
class Call:
    """What is done at a call.

    :param act: gets the arguments behind the first, as many as it takes; its result is the guest's, but before QEMU's turn.
    """

    order: Order
    arguments: int
    act: Callable[..., Hcall | None]


CALLS: dict[int, Call] = {
    Opcode.PUT_TCE: Call(Order.BEFORE_QEMU, 2, lambda client, *given: client.window.put(*given)),
    Opcode.STUFF_TCE: Call(Order.BEFORE_QEMU, 3, lambda client, *given: client.window.stuff(*given)),
    Opcode.PUT_TCE_INDIRECT: Call(Order.BEFORE_QEMU, 3, lambda client, *given: client.window.put_listed(*given)),
    Opcode.VIO_SIGNAL: Call(Order.BEFORE_QEMU, 1, Client.signal),
    Opcode.REG_CRQ: Call(Order.AFTER_QEMU, 2, Client.register),
    Opcode.FREE_CRQ: Call(Order.AFTER_QEMU, 0, Client.free),
    Opcode.ENABLE_CRQ: Call(Order.AFTER_QEMU, 0, Client.enable),
    Opcode.SEND_CRQ: Call(Order.INSTEAD_OF_QEMU, 2, Client.send),
}
