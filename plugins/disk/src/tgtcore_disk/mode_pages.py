"""The mode pages of a disk (SBC-4 6.5, SPC-5 7.5)."""

import logging
from functools import cache
from typing import Any

from tgtcore import PENDING, Task
from tgtcore.scsi.control import CONTROL_KEY, SWP, control_extension_page, control_page, is_set
from tgtcore.scsi.mode import ModePage, block_descriptor
from tgtcore_disk.medium import Medium

_log = logging.getLogger(__name__)

_ERROR_RECOVERY, _CACHING, _EXCEPTIONS = 0x01, 0x08, 0x1C
ERROR_RECOVERY_KEY = (_ERROR_RECOVERY, 0)
LBPERE = (5, 0x80)
"""Threshold notification is enabled (SBC-4 4.7.3.7.6): the byte behind the page's header, and the bit."""

_CACHING_KEY = (_CACHING, 0)
_WCE = (0, 0x04)
_WP, _DPOFUA = 0x80, 0x10
_AWRE = 0x80


class DiskModePages(Medium):
    """Read-Write Error Recovery, Caching (WCE can be changed), Control (SWP too) and Informational Exceptions Control."""

    def mode_pages(self) -> list[ModePage]:
        """The pages."""
        return [
            _error_recovery_page(self.options.soft_threshold is not None, changeable=self.tells_space),
            _caching_page(enabled=self.options.write_cache and self.store.writable, changeable=self.store.writable),
            control_page(software_write_protect=True),
            control_extension_page(),
            _EXCEPTIONS_PAGE,
        ]

    def apply_mode(self, key: tuple[int, int], values: bytes) -> None:
        """WCE: without it every write is durable when it ends.  SWP: writes are refused."""
        super().apply_mode(key, values)
        if key == _CACHING_KEY:
            self.write_through = not is_set(values, _WCE)
        elif key == CONTROL_KEY:
            self.software_write_protected = is_set(values, SWP)

    def change_mode(self, task: Task, changes: dict[tuple[int, int], bytes]) -> Any:
        """When writes are to be durable, or refused, from now on, those that a cache holds are made durable first (SBC-4 6.5.5,
        SPC-5 7.5.10): no initiator may flush them later."""
        if not self._empties_the_cache(changes):
            return super().change_mode(task, changes)
        if not self.ranges.admit(task, 0, self.size_bytes, alone=True):
            return PENDING
        super().change_mode(task, changes)
        return self.slowly(task, 0, self.size_bytes, self.store.flush, alone=True)

    def _empties_the_cache(self, changes: dict[tuple[int, int], bytes]) -> bool:
        caching, control = changes.get(_CACHING_KEY), changes.get(CONTROL_KEY)
        disables = caching is not None and not self.write_through and not is_set(caching, _WCE)
        protects = control is not None and not self.software_write_protected and is_set(control, SWP)
        return disables or protects

    def reset(self) -> None:
        """A reset may disable the write cache, where that is the default.  What it holds is then made durable as soon as possible:
        the flush has begun, and not ended, when this returns, since nobody waits for it; that it has failed is logged.
        """
        cached = not self.write_through
        super().reset()
        if (
            cached and self.write_through and not self.store.leases.draining
        ):  # else the store is flushed when it is closed
            self._flush_in_background()

    def _flush_in_background(self) -> None:
        flush = _Flush(f"flush of {self.lu} after a reset")
        self.store.leases.take(flush)

        def done(result: Any, error: BaseException | None) -> None:
            self.store.leases.give(flush)
            if error is not None:
                _log.error("%s failed: what initiators wrote before may be lost: %s", flush, error)

        self.lu.run(self.store.flush, (), done)

    def mode_device_specific(self) -> int:
        """WP and DPOFUA."""
        return (_WP if self.write_protected else 0) | _DPOFUA

    def mode_block_descriptor(self, *, long: bool) -> bytes:
        """Number and length of the blocks."""
        return block_descriptor(self.blocks, self.block_bytes, long=long)


_EXCEPTIONS_PAGE = ModePage(_EXCEPTIONS, 0, bytes(10), bytes(10))


@cache
def _error_recovery_page(notifies: bool, *, changeable: bool) -> ModePage:
    """AWRE, and LBPERE where there are thresholds."""
    default, mask = bytearray(10), bytearray(10)
    default[0] = _AWRE
    for values, lbpere in ((default, notifies), (mask, changeable)):
        if lbpere:
            values[LBPERE[0]] |= LBPERE[1]
    return ModePage(_ERROR_RECOVERY, 0, bytes(default), bytes(mask))


@cache
def _caching_page(*, enabled: bool, changeable: bool) -> ModePage:
    default, mask = bytearray(18), bytearray(18)
    for values, wce in ((default, enabled), (mask, changeable)):
        if wce:
            values[_WCE[0]] |= _WCE[1]
    return ModePage(_CACHING, 0, bytes(default), bytes(mask))


class _Flush:
    """Holds a lease on a store while it is flushed for nobody."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __str__(self) -> str:
        return self._what
