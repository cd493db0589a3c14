"""Bits of mode pages, changed as an initiator changes them (SPC-5 6.14, 6.16)."""

from oracle.commands import mode_select6, mode_sense6
from oracle.libiscsi import Session

_ATTEMPTS = 50
_HEADER_BYTES = 4
_CACHING_PAGE, _WCE = 0x08, (2, 0x04)
_CONTROL_PAGE, _TAS = 0x0A, (5, 0x40)


def be_silent_about_aborted_tasks(session: Session) -> None:
    """Clear TAS, which a reset sets again."""
    _change(session, _CONTROL_PAGE, _TAS, on=False)


def disable_write_cache(session: Session) -> None:
    """Clear WCE, which a reset sets again."""
    _change(session, _CACHING_PAGE, _WCE, on=False)


def _change(session: Session, page: int, bit: tuple[int, int], *, on: bool) -> None:
    byte, mask = bit
    for _ in range(_ATTEMPTS):  # a reset by another initiator may come between
        sensed = session.command(mode_sense6(page), read=255)
        if not sensed.good:
            continue
        values = bytearray(sensed.data_in[_HEADER_BYTES:])
        values[0] &= 0x3F
        values[byte] = values[byte] | mask if on else values[byte] & ~mask
        parameters = bytes(_HEADER_BYTES) + bytes(values)
        if session.command(mode_select6(len(parameters)), data_out=parameters).good:
            return
    raise AssertionError(f"mode page {page:#04x} can't be changed")
