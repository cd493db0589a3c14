"""INQUIRY by the names that a client knows."""

from collections.abc import Callable
from typing import Any

from tgtcore import BoundCommand, CommandTable, Task
from tgtcore_ibmvio.clients import InquiryForm
from tgtcore_ibmvio.identity import own_options

_INQUIRY = 0x12
_EVPD = 0x01
_DEVICE_TYPE = 0x1F
_VENDOR_AT, _REVISION_AT = 8, 32

_AIX_VENDOR = "IBM"
_AIX_PRODUCTS = {0x00: "VDASD blkdev", 0x05: "VOPTA blkdev"}
"""By peripheral device type: virtual disks and optical devices."""


def amend(commands: CommandTable) -> None:
    """Put our INQUIRY in the place of the one that a logical unit has by itself."""
    bound = commands.find(bytes((_INQUIRY,)).ljust(16, b"\0"))
    if bound is not None:
        commands.replace(BoundCommand(bound.command, _inquiry(bound.handler), bound.wants))


def _inquiry(original: Callable[[Any, Task], Any]) -> Callable[[Any, Task], None]:
    def inquiry(device: Any, task: Task) -> None:
        original(device, task)
        if own_options(task.nexus.target).kind.inquiry is InquiryForm.AIX and not task.cdb[1] & _EVPD:
            assert isinstance(task.data_in, bytes)
            task.data_in = named_for_aix(task.data_in)

    return inquiry


def named_for_aix(data: bytes) -> bytes:
    """Standard INQUIRY data with the names by which AIX knows virtual devices; of another kind of device, as it was."""
    product = _AIX_PRODUCTS.get(data[0] & _DEVICE_TYPE) if data else None
    if product is None:
        return data
    names = _AIX_VENDOR.ljust(8).encode() + product.ljust(16).encode()
    return (data[:_VENDOR_AT] + names + data[_REVISION_AT:])[: len(data)]
