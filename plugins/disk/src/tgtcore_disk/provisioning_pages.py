"""What a thin disk tells of the space that is left: mode page 1Ch/02h, log page 0Ch, and an attention when it runs out."""

import logging
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tgtcore import ConfigError, LogPage, Space, Task
from tgtcore.scsi import asc
from tgtcore.scsi.control import is_set
from tgtcore.scsi.log import LogParameter
from tgtcore.scsi.mode import ModePage
from tgtcore_disk.log_pages import DiskLogPages
from tgtcore_disk.mode_pages import ERROR_RECOVERY_KEY, LBPERE, DiskModePages
from tgtcore_disk.space_watch import SpaceWatch
from tgtcore_disk.thresholds import AVAILABLE, PAGE_KEY, USED, any_enabled, reached, sets, threshold_page

_log = logging.getLogger(__name__)

_LOG_PAGE = 0x0C
_RESOURCE = struct.Struct(">IB3x")
_DEDICATED, _SHARED = 1, 2
"""SCOPE: whether others may use up what is available (SBC-4 table 199)."""


class ProvisioningPages(DiskModePages, DiskLogPages):
    """Thresholds, if the disk is thin and its store can tell how much space is left (SBC-4 4.7.3.7)."""

    _watch: SpaceWatch | None = None
    """Made when a threshold is enabled for the first time: there may be thousands of disks without any."""

    _told: frozenset[int] = frozenset()
    """The places of the thresholds that were reached and not left since."""

    _told_last = 0
    _space: Space | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.options.soft_threshold is not None and not self.tells_space:
            raise ConfigError(
                "soft_threshold is set, but there is no space to watch; expected a thin disk on a store that can tell how much "
                "is left"
            )
        self._follow()

    def close(self) -> None:
        """Watch no more."""
        if self._watch is not None:
            self._watch.stop()
        super().close()

    # ---- thresholds -------------------------------------------------------------------------------------------------

    def mode_pages(self) -> list[ModePage]:
        """The page with the thresholds too."""
        pages = super().mode_pages()
        return [*pages, threshold_page(self.options.soft_threshold)] if self.tells_space else pages

    def apply_mode(self, key: tuple[int, int], values: bytes) -> None:
        """LBPERE, and which thresholds are enabled."""
        super().apply_mode(key, values)
        if key in (ERROR_RECOVERY_KEY, PAGE_KEY):
            self._follow()

    def _follow(self) -> None:
        """Watch the space that is left as long as somebody wants to hear of it."""
        if (
            self.tells_space
            and is_set(self.mode_values(ERROR_RECOVERY_KEY), LBPERE)
            and any_enabled(self.mode_values(PAGE_KEY))
        ):
            if self._watch is None:
                self._watch = SpaceWatch(self.lu, self.store, self._space_found)
            self._watch.start()
        elif self._watch is not None:
            self._watch.stop()

    def _space_found(self, space: Space) -> None:
        told, self._told = self._told, reached(self.mode_values(PAGE_KEY), space, self._told)
        for place in sorted(self._told - told):
            _log.warning(
                "%s: a soft threshold is reached: it takes %d bytes, %d are left",
                self.lu,
                space.used_bytes,
                space.available_bytes,
            )
            self._told_last = place
            self.lu.attention(asc.THIN_PROVISIONING_SOFT_THRESHOLD_REACHED)

    def attention_information(self, code: tuple[int, int]) -> int | None:
        """For a threshold its place in the mode page."""
        if code == asc.THIN_PROVISIONING_SOFT_THRESHOLD_REACHED:
            return self._told_last
        return super().attention_information(code)

    def reset(self) -> None:
        """After a reset thresholds are told once more."""
        super().reset()
        self._told = frozenset()

    def hand_over(self) -> dict[str, Any]:
        """What was told need not be told again."""
        return {**super().hand_over(), "thresholds_told": sorted(self._told)}

    def take_over(self, state: Mapping[str, Any]) -> None:
        """What was told need not be told again."""
        self._told = frozenset(state.get("thresholds_told", ()))
        super().take_over(state)

    # ---- the log page -----------------------------------------------------------------------------------------------

    def log_pages(self) -> dict[tuple[int, int], LogPage]:
        """The page with the resources too."""
        pages = super().log_pages()
        return {**pages, (_LOG_PAGE, 0): self._resources} if self.tells_space else pages

    def log_sense(self, task: Task) -> Any:
        """Before the resources are told the store is asked, which may block."""
        if task.cdb[2] & 0x3F == _LOG_PAGE and self.tells_space:
            return task.offload(self._log_resources, task)
        return super().log_sense(task)

    def _log_resources(self, task: Task) -> Any:
        self._space = self.store.space()
        super().log_sense(task)
        return task.data_in

    def _resources(self) -> Iterator[LogParameter]:
        assert self._space is not None
        amounts = ((AVAILABLE, self._space.available_bytes), (USED, self._space.used_bytes))
        for code, amount in amounts:
            scope = _SHARED if self._space.shared and code == AVAILABLE else _DEDICATED
            yield LogParameter(code, _RESOURCE.pack(sets(amount), scope))
