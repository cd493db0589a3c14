"""What a virtual HBA is to be, by what its transport, its target, its guest and administrators want."""

from collections.abc import Callable, Mapping

from tgtcore import Target
from tgtcore_xen.keeping.refusal import Refusal
from tgtcore_xen.xenbus.wanted import Presence, Wanted

REFUSED_S = 60.0
"""After how long somebody is tried again who was refused for a reason that may be none any more."""


LETS_GO_S = 5.0
"""How long a guest that has had its time, and is told that nothing is there any more, may take to let go of that."""


class Wishes:
    """Those about one virtual HBA.

    :param now: the time in seconds.
    :param found: see :class:`~tgtcore_xen.xenbus.wanted.Wanted`.
    """

    def __init__(self, now: Callable[[], float], *, found: bool = False) -> None:
        self.found = found
        self.listening = True
        """Whether the transport takes sessions."""
        self.attached = True
        """Whether it is to be there: the configuration has it."""
        self.renew = True
        """Whether one that was closed is to be offered anew."""
        self.renewals = 0
        """How often somebody has asked for that."""
        self.leaving = False
        """Whether its guest is to let go of it."""
        self.refusal: Refusal | None = None
        """Why its front end is not served."""
        self._now = now
        self._had_target = False
        self._late_at: float | None = None
        self._again_at: float | None = None

    # ---- wishes ---------------------------------------------------------------------------------------------------------

    def leave(self, within_s: float) -> None:
        """Take it away; the guest is served for so long."""
        self.leaving = True
        self._late_at = self._now() + within_s

    def left(self) -> bool:
        """Nothing is there any more; whether somebody had asked for that."""
        was_asked, self.leaving, self._late_at = self.leaving, False, None
        return was_asked

    def refuse(self, refusal: Refusal) -> None:
        """Serve its front end no more."""
        self.refusal = refusal
        self._again_at = self._now() + REFUSED_S if refusal.may_change else None

    def again(self) -> None:
        """Offer it again, whoever has closed it, and whatever its front end did wrong."""
        self.refusal, self._again_at, self.renew = None, None, True
        self.renewals += 1

    def forget(self) -> None:
        """Another guest begins anew."""
        self.again()
        self.left()

    # ---- what follows -----------------------------------------------------------------------------------------------------

    @property
    def may_try_again(self) -> bool:
        """Whether who was refused has waited long enough."""
        return self._again_at is not None and self._now() >= self._again_at

    @property
    def is_late(self) -> bool:
        """Whether a guest that is to let go has had its time, and is served no more."""
        return self._late_at is not None and self._now() >= self._late_at

    def is_delay(self, target: Target | None) -> bool:
        """Whether an end of the session is no more than a delay to the guest: the transport or the target is drained."""
        return self.attached and (not self.listening or (target is not None and target.drained))

    def lost_target(self, target: Target | None) -> bool:
        """Whether the target that it led to was removed: somebody wants that, whatever is drained beside it."""
        return target is None and self._had_target

    def presence(self, target: Target | None, *, connected: bool) -> Presence:
        """What the guest is to see.

        :param target: that of the session, or that which the HBA leads to.
        """
        self._had_target = self._had_target or target is not None
        drained = target is not None and target.drained
        going = target is None or (target.leases.draining and not target.drained)
        if self.leaving or (not self.attached and not connected):
            return Presence.REMOVED
        if self.refusal is not None:
            return Presence.CLOSED
        if connected:
            return Presence.REMOVED if going else Presence.OFFERED
        if drained or not (self.listening or self.lost_target(target)):
            return Presence.HELD
        if going:
            # at the start targets are not there yet: that may not cost a guest its disks
            return Presence.REMOVED if self._had_target else Presence.HELD
        return Presence.OFFERED

    def wanted(self, presence: Presence, devices: Mapping[str, str] | None, close_s: float) -> Wanted:
        """For the handshake.

        :param close_s: how long the guest is served while it lets go, from now on.
        """
        if presence is not Presence.REMOVED:
            self._late_at = None
        elif self._late_at is None:
            self._late_at = self._now() + close_s
        forced = self._late_at is not None and self._now() >= self._late_at + LETS_GO_S
        return Wanted(presence, devices, self.renew, self.is_late, forced, self.refusal is not None, self.found)
