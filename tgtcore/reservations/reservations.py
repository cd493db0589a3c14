"""All reservations of a logical unit: RESERVE and RELEASE (SPC-2), and persistent reservations (SPC-5 5.14)."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from tgtcore.errors import ReservationConflict
from tgtcore.reservations.classes import NOTHING, UNDER_RESERVE, UNDER_TYPE, ReservationClass
from tgtcore.reservations.preempting import preempt, preempt_and_abort
from tgtcore.reservations.registering import register, register_and_ignore_existing_key, register_and_move
from tgtcore.reservations.reports import report
from tgtcore.reservations.request import Outcome, Request
from tgtcore.reservations.reserving import clear, release, reserve
from tgtcore.reservations.saved import handed_over, restored, saved
from tgtcore.reservations.state import NexusIdentity, State
from tgtcore.scsi.persistent import InAction, OutAction

_ACTIONS: dict[OutAction, Callable[[State, Request], Outcome]] = {
    OutAction.REGISTER: register,
    OutAction.RESERVE: reserve,
    OutAction.RELEASE: release,
    OutAction.CLEAR: clear,
    OutAction.PREEMPT: preempt,
    OutAction.PREEMPT_AND_ABORT: preempt_and_abort,
    OutAction.REGISTER_AND_IGNORE_EXISTING_KEY: register_and_ignore_existing_key,
    OutAction.REGISTER_AND_MOVE: register_and_move,
}


class Reservations:
    """The reservations of one logical unit.

    :param told: called with :attr:`active` whenever that may have changed.
    """

    __slots__ = ("_admitted", "_holder", "_refused", "_state", "_told")

    def __init__(self, told: Callable[[bool], None] = lambda active: None) -> None:
        self._told = told
        self._holder: NexusIdentity | None = None
        self._state = State()
        self._refused = NOTHING
        self._admitted: Collection[NexusIdentity] = ()

    @property
    def active(self) -> bool:
        """Whether anything is reserved; while it is False no command can conflict."""
        return bool(self._refused)

    @property
    def holder(self) -> NexusIdentity | None:
        """Who holds the logical unit by RESERVE."""
        return self._holder

    @property
    def state(self) -> State:
        """Registrations and the persistent reservation."""
        return self._state

    def conflict(self, identity: NexusIdentity, kind: ReservationClass) -> bool:
        """Whether a command of that kind from that nexus must end with RESERVATION CONFLICT."""
        return kind in self._refused and identity not in self._admitted

    # ---- RESERVE and RELEASE ----------------------------------------------------------------------------------------

    def reserve(self, identity: NexusIdentity) -> None:
        """RESERVE (SPC-2 7.21): idempotent for the holder.

        :raises ReservationConflict: another nexus holds the logical unit, or somebody is registered.
        """
        if self._compatible(identity):
            return
        if self._holder not in (None, identity):
            raise ReservationConflict("reserved by another nexus")
        self._holder = identity
        self._changed()

    def release(self, identity: NexusIdentity) -> None:
        """RELEASE (SPC-2 7.16): from anyone but the holder it does nothing, and is no error.

        :raises ReservationConflict: somebody is registered, and the nexus has no access by that.
        """
        if self._holder == identity:
            self.reset()
        else:
            self._compatible(identity)

    def _compatible(self, identity: NexusIdentity) -> bool:
        """Whether RESERVE and RELEASE do nothing, because persistent reservations give the nexus access (SPC-5 5.14.3).

        :raises ReservationConflict: they don't, and somebody is registered.
        """
        state = self._state
        if state.holds(identity) or (state.admits_registrants() and identity in state.registrations):
            return True
        if state.registrations:
            raise ReservationConflict("persistent reservations are in use")
        return False

    def nexus_lost(self, identity: NexusIdentity) -> None:
        """The nexus is gone, and what it has reserved by RESERVE is free; registrations stay."""
        if self._holder == identity:
            self.reset()

    def reset(self) -> None:
        """The logical unit was reset: RESERVE has no effect any more; registrations stay."""
        self._holder = None
        self._changed()

    def power_lost(self) -> None:
        """Power was lost and is back: nothing is left but what was to outlive that (SPC-5 5.14.5)."""
        self._holder = None
        self._state = restored(saved(self._state))
        self._changed()

    # ---- persistent reservations ------------------------------------------------------------------------------------

    def persistent_reserve_out(self, request: Request) -> Outcome:
        """What PERSISTENT RESERVE OUT comes to.  Nothing changes until :meth:`adopt`.

        :raises ReservationConflict: the nexus may not do that.
        :raises CheckCondition: a field is invalid, or there are too many registrants.
        """
        self._refuse_if_reserved()
        return _ACTIONS[request.action](self._state, request)

    def adopt(self, outcome: Outcome) -> None:
        """Make an outcome true.  Nothing else may have been adopted since it was made."""
        assert outcome.before is self._state, "reservations have changed since this outcome was made"
        self._state = outcome.state
        self._changed()

    def persistent_reserve_in(self, action: InAction, *, can_persist: bool) -> bytes:
        """The parameter data of PERSISTENT RESERVE IN.

        :param can_persist: whether registrations can be kept over power loss.
        :raises ReservationConflict: a nexus has reserved the logical unit by RESERVE.
        """
        self._refuse_if_reserved()
        return report(action, self._state, can_persist=can_persist)

    def hand_over(self) -> dict[str, Any]:
        """All registrations and the persistent reservation as JSON-like data, for another process to :meth:`restore`."""
        return handed_over(self._state)

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up what was saved before the power was lost (``Outcome.to_save``) or handed over; nothing is registered yet.

        :raises ValueError: it is damaged.
        """
        assert self._state == State(), "reservations are restored once, before the first command"
        self._state = restored(data)
        self._changed()

    def _refuse_if_reserved(self) -> None:
        """SPC-2 5.5.1: while RESERVE is in effect persistent reservations are out of reach, even for the holder."""
        if self._holder is not None:
            raise ReservationConflict("reserved by RESERVE")

    def _changed(self) -> None:
        state = self._state
        held = state.reservation
        if self._holder is not None:
            self._refused, self._admitted = UNDER_RESERVE, (self._holder,)
        elif held is None:
            self._refused, self._admitted = NOTHING, ()
        else:
            self._refused = UNDER_TYPE[held.type]
            self._admitted = (
                state.registrations if held.holder is None or state.admits_registrants() else (held.holder,)
            )
        self._told(self.active)
