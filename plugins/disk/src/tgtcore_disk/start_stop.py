"""START STOP UNIT (SBC-4 5.31) and PREVENT ALLOW MEDIUM REMOVAL (SPC-5 6.16)."""

from collections.abc import Mapping
from typing import Any

from tgtcore import CheckCondition, ReservationClass, ReservationConflict, Task, command, invalid_cdb_field
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore_disk.medium import EJECTED, STOPPED, Medium

_START, _LOEJ, _NO_FLUSH = 0x01, 0x02, 0x04
_PREVENT_BYTE = 4


class StartStopCommands(Medium):
    """START STOP UNIT; for a removable medium LOEJ and PREVENT ALLOW MEDIUM REMOVAL."""

    def command_features(self) -> set[str]:
        """Whether the medium is removable."""
        return super().command_features() | ({"removable"} if self.options.removable else set())

    def _check_reservation(self, task: Task, kind: ReservationClass) -> None:
        """For commands whose fields decide what a reservation does to them (SBC-4 table 13)."""
        if self.lu.reservations.conflict(task.nexus.identity, kind):
            raise ReservationConflict(f"{task}: {self.lu} is reserved")

    @command(0x1B, "1B 01 00 00 07 00", timeout_s=60)
    def start_stop_unit(self, task: Task) -> Any:
        """START STOP UNIT; stopping makes everything durable first.  IMMED ends the command when the work is done."""
        what = task.cdb[4]
        self._check_reservation(task, ReservationClass.READINESS if what & _START else ReservationClass.WRITE)
        if what & _LOEJ and not self.options.removable:
            raise invalid_cdb_field(4, 1)
        if what & _START:
            self._start(task, load=bool(what & _LOEJ))
            return None
        if what & _LOEJ and self._removal_prevented():
            raise CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.MEDIUM_REMOVAL_PREVENTED)
        stop = EJECTED if what & _LOEJ else STOPPED
        if what & _NO_FLUSH and not what & _LOEJ:
            self.obstruct(stop)
            return None
        task.when_ended(lambda: None if task.status else self.obstruct(stop))
        return task.offload(self.store.flush)

    def _start(self, task: Task, *, load: bool) -> None:
        """Start the unit.  Whoever loads the medium knows of it; the others are told."""
        if load and EJECTED in self.obstacles:
            self.clear(EJECTED)
            self.lu.attention(asc.MEDIUM_MAY_HAVE_CHANGED, besides=task.itl)
        self.check_loaded()
        self.clear(STOPPED)

    def check_loaded(self) -> None:
        """Refuse while there is no medium."""
        if EJECTED in self.obstacles:
            raise CheckCondition(*EJECTED)

    @command(0x1E, "1E 00 00 00 03 00", feature="removable")
    def prevent_allow_medium_removal(self, task: Task) -> None:
        """PREVENT ALLOW MEDIUM REMOVAL, remembered for each I_T nexus."""
        prevent = task.cdb[_PREVENT_BYTE] & 3
        if prevent > 1:
            raise invalid_cdb_field(_PREVENT_BYTE, 1)
        if prevent:
            self._check_reservation(task, ReservationClass.WRITE)
        assert task.itl is not None
        task.itl.prevents_removal = bool(prevent)

    def _removal_prevented(self) -> bool:
        return any(itl.prevents_removal for itl in self.lu.itls)

    def hand_over(self) -> dict[str, Any]:
        """Whether the unit is stopped, or its medium ejected."""
        return {**super().hand_over(), "stopped": STOPPED in self.obstacles, "ejected": EJECTED in self.obstacles}

    def take_over(self, state: Mapping[str, Any]) -> None:
        """Be stopped, or without medium, as before."""
        super().take_over(state)
        for name, obstacle in (("stopped", STOPPED), ("ejected", EJECTED)):
            if state.get(name):
                self.obstruct(obstacle)

    def reset(self) -> None:
        """A reset ends every prevention (SPC-5 6.16) and starts the unit again."""
        super().reset()
        self.clear(STOPPED)
        for itl in self.lu.itls:
            itl.prevents_removal = False
