"""The Control mode pages that all device types share (SPC-5 7.5.10, 7.5.11), and what their bits do."""

from functools import cache

from tgtcore.scsi.mode import ModePage

CONTROL = 0x0A
CONTROL_KEY = (CONTROL, 0x00)
D_SENSE = (0, 0x04)
"""Where a bit is in the page's values: byte and mask."""
SWP = (2, 0x08)
TAS = (3, 0x40)

_TST_PER_NEXUS = 0x20
_GLTSD = 0x02
_UNRESTRICTED_REORDERING = 0x10
_EXTENSION_BYTES = 28


@cache
def control_page(*, software_write_protect: bool) -> ModePage:
    """The Control mode page; D_SENSE and TAS can be changed, SWP where the device type has it.

    TAS is one by default: an initiator whose command another one has aborted is told at once, and need not wait for a timeout.
    """
    default = bytearray(10)
    default[0] = _TST_PER_NEXUS | _GLTSD  # nothing is saved, so saving is disabled for all
    default[1] = _UNRESTRICTED_REORDERING
    default[TAS[0]] |= TAS[1]
    changeable = bytearray(10)
    for byte, mask in (D_SENSE, TAS, *([SWP] if software_write_protect else [])):
        changeable[byte] |= mask
    return ModePage(CONTROL, 0x00, bytes(default), bytes(changeable))


@cache
def control_extension_page() -> ModePage:
    """The Control Extension mode page: nothing of it is in use."""
    return ModePage(CONTROL, 0x01, bytes(_EXTENSION_BYTES), bytes(_EXTENSION_BYTES))


def is_set(values: bytes, bit: tuple[int, int]) -> bool:
    """Whether a bit of a page's values is one."""
    return bool(values[bit[0]] & bit[1])
