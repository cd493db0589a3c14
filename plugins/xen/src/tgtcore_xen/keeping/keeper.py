"""Keeps one virtual HBA as it is to be: reads the nodes, does the next steps, and keeps its session."""

import asyncio
import logging
from contextlib import suppress
from functools import partial

from tgtcore import Target
from tgtcore_xen.guests import Guest
from tgtcore_xen.keeping.journals import remove_journal
from tgtcore_xen.keeping.line import farewell
from tgtcore_xen.keeping.looking import Looking
from tgtcore_xen.keeping.nodes import Nodes
from tgtcore_xen.keeping.pace import Pace
from tgtcore_xen.keeping.possession import Possession
from tgtcore_xen.keeping.refusal import Refusal, Refused
from tgtcore_xen.keeping.service import Service
from tgtcore_xen.keeping.session import Session
from tgtcore_xen.keeping.surroundings import Surroundings
from tgtcore_xen.keeping.wishes import LETS_GO_S, Wishes
from tgtcore_xen.options import HbaOptions
from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.observed import Observed, Ring, are_others
from tgtcore_xen.xenbus.states import State
from tgtcore_xen.xenbus.step import Connect, Disconnect, Erase, Make, Refuse, Remove, Step, Write
from tgtcore_xen.xenbus.steps import next_steps
from tgtcore_xen.xenbus.wanted import Presence, Wanted

_log = logging.getLogger(__name__)

AFRESH_S = 1.0
"""How long nodes stay away before they are made anew: a guest that sees only the new ones takes them for the old."""

_AGAIN_S = 1.0
_PASSES_S = 30.0
_VANISH_S = LETS_GO_S + 2.0
_VANISHES_S = 0.25
_ROUNDS_MAX = 32
_BURST, _EACH_S = 100, 0.05


class Keeper:
    """One virtual HBA.

    :param options: as the configuration has it.
    """

    def __init__(self, options: HbaOptions, around: Surroundings) -> None:
        self.options = options
        self.wishes = Wishes(around.host.loop.time, found=around.found)
        self.guest: Guest | None = None
        self.observed = Observed()
        self.over = False
        """Whether it is not attached any more, and nothing is left of it."""
        self._around = around
        self._loop = around.host.loop
        pace = Pace(_BURST, _EACH_S, self._loop.time)
        self.looking = Looking(str(self), self._look, pace, _AGAIN_S, self._loop)
        self.service = Service(self.looking.later, _AGAIN_S)
        self._possession = Possession(options.address, around)
        self._make_at = 0.0
        self._waits_since: float | None = None
        self._would_overtake = False
        self._errands: set[asyncio.Task[None]] = set()
        self._seen: Wanted | None = None

    def __str__(self) -> str:
        return f"virtual HBA {self.options.address}"

    @property
    def session(self) -> Session | None:
        """The front end that is served; None: there is none."""
        return self.service.session

    # ---- what the transport asks ----------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something is different: look again."""
        self.looking.wake()

    def configure(self, options: HbaOptions) -> None:
        """Have other options; where it leads to another target its guest lets go of it, and gets it anew."""
        if options.target_name != self.options.target_name:
            self.leave()
        self.options = options

    async def until_ready(self) -> None:
        """Wait until the guest has its nodes, or is to have none, or is not there."""
        while not (self.over or self.is_ready):
            await self.looking.until_looked()

    @property
    def is_ready(self) -> bool:
        """See :meth:`until_ready`."""
        guest = self._find_guest()
        has_nodes = self._possession.is_of(guest) and (self.observed.there or self.wishes.found)
        return self._seen is not None and (guest is None or has_nodes or self.presence is not Presence.OFFERED)

    @property
    def _is_second(self) -> bool:
        """Whether the guest has an HBA of this number, by another name of the guest."""
        return self._possession.nodes is None and self.wishes.refusal is not None

    def tick(self) -> None:
        """Look again if something else is wanted by now."""
        if self.wishes.may_try_again:
            self.renew()
        elif self._is_second:
            self.wake()
        elif self.session is not None and self.session.is_remapped:
            self.luns_changed()
        elif self._wanted() != self._seen:
            self.wake()

    def luns_changed(self) -> None:
        """There are other logical units."""
        self.service.devices_stale = True
        self.wake()

    def renew(self) -> None:
        """Offer it again, whoever has closed it, and whatever its front end did wrong."""
        self.wishes.again()
        self.wake()

    def leave(self, within_s: float = 0) -> None:
        """Let the guest close it; it is served until then, but not for ever.  Without effect where the guest sees only a delay.

        :param within_s: how long it may take, if that is more than ``close_s``.
        """
        if self.session is not None and not self.wishes.is_delay(self.session.target):
            self.wishes.leave(max(within_s, self._around.options().close_s))
            self.wake()

    async def drop(self) -> None:
        """End the session now; returns when the last command has ended.  A guest that has to let go is answered until it has."""
        if self.wishes.is_delay(self.find_target()):
            await self.service.end(keep=True)
        else:
            self.wishes.leave(0)
            self.service.retire()
            self.wake()
            await self.service.ended()
        self.wake()

    async def close(self) -> None:
        """End everything, and leave the nodes and what the guest waits for to another back end.

        One whose target was removed is nobody's: its guest would wait for ever, so its nodes go.
        """
        if self.wishes.lost_target(self.find_target()):
            await self.service.ended()
            await self._vanish()
        for task in (ending := {self.looking.task, *self._errands}):
            task.cancel()
        await asyncio.wait(ending)
        await self.service.end(keep=True)
        if self._possession.nodes is not None:
            await self._possession.nodes.unwatch()

    async def _vanish(self) -> None:
        """Have the nodes removed now, unless the store does not do it."""
        self.wishes.leave(0)
        self.wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(_VANISH_S):
                while not self.observed.is_left(found=self.wishes.found):
                    self.looking.later(_VANISHES_S)  # nobody else tells any more that the guest has had its time
                    await self.looking.until_looked()

    def find_target(self) -> Target | None:
        """The target that it leads to, open or not."""
        return self._around.host.find_target(self.options.target_name) if self.session is None else self.session.target

    @property
    def tries_again(self) -> bool:
        """Whether what keeps a front end from being served may pass in moments."""
        return self._waits_since is not None

    @property
    def waits_for_commands(self) -> bool:
        """Whether the guest has to wait until commands that it has sent before have ended."""
        return self.is_held_back or (self.tries_again and self._would_overtake)

    @property
    def is_held_back(self) -> bool:
        """Whether the guest is neither served nor lost before what is over has ended: commands of its connection, for instance.

        What it waits for would be done a second time beside them, or answered while they run.
        """
        return self.service.link is None and (self.service.is_ending or bool(self._errands))

    @property
    def presence(self) -> Presence:
        """What the guest is to see."""
        presence = self.wishes.presence(self.find_target(), connected=self.session is not None)
        return Presence.HELD if self.is_held_back and presence is not Presence.CLOSED else presence

    def _wanted(self) -> Wanted:
        return self.wishes.wanted(self.presence, self.service.devices, self._around.options().close_s)

    # ---- the loop -------------------------------------------------------------------------------------------------------

    async def _look(self) -> bool:
        """Do all that can be done now; whether it is still attached, or something is left of it."""
        possession = self._possession
        guest = self._find_guest()
        if possession.nodes is not None and not possession.is_of(guest):
            await self._lose(possession.nodes)
        self.guest = guest
        if guest is None or not await self._takes(guest):
            self._seen = self._wanted()
            self.over = not self.wishes.attached
            return not self.over
        assert possession.nodes is not None, "they were taken"
        for _ in range(_ROUNDS_MAX):
            if not await self._round(possession.nodes):
                break
            self.looking.count()
        else:
            self.wake()
        if self.over:
            await possession.give_up()
        return not self.over

    def _find_guest(self) -> Guest | None:
        is_in_use = self.service.link is not None or self.observed.is_in_use
        return self._possession.find_guest(self.options.guest, is_in_use=is_in_use)

    async def _takes(self, guest: Guest) -> bool:
        """Whether it has the nodes of its guest."""
        if self._possession.nodes is not None:
            return True
        refusal = await self._possession.take(guest, self.options.dev, self.wake)
        if refusal is None:
            self.wishes.again()
        elif self.wishes.refusal is None:
            self.wishes.refuse(refusal)
            _log.warning("%s: %s", self, refusal)
        return refusal is None

    async def _round(self, nodes: Nodes) -> bool:
        """Look once; whether to look again at once."""
        renewals = self.wishes.renewals
        before, self.observed = self.observed, await nodes.read()
        observed = self.observed
        if self.wishes.found and are_others(before, observed):
            await nodes.remove()
            self.wishes.forget()
        self.service.follow(observed)
        await self.service.refresh()
        self._seen = wanted = self._wanted()
        if wanted.late:
            self.service.retire()
        if wanted.presence is Presence.REMOVED and not observed.is_left(found=self.wishes.found):
            # To the end, whatever is wanted by then: a guest that has begun to close has no way back.
            self.wishes.leaving = True
        steps = next_steps(observed, wanted, self.service.link)
        if not steps:
            if observed.states == (State.CONNECTED, State.CONNECTED):
                await nodes.remind()
            return self._settled(observed, wanted, renewals)
        for step in steps:
            if not await self._do(step, nodes, wanted):
                return False
        return True

    def _settled(self, observed: Observed, wanted: Wanted, renewals: int) -> bool:
        """Nothing is to be done for what is wanted; whether something else is wanted from now on.

        :param renewals: how often somebody had asked for a new one before it was observed.
        """
        if wanted.presence is Presence.REMOVED and observed.is_left(found=self.wishes.found):
            was_asked = self.wishes.left()
            self.over = not self.wishes.attached
            return was_asked and not self.over
        if observed.states == (State.CONNECTED, State.CONNECTED) and renewals == self.wishes.renewals:
            self.wishes.renew = False
        return False

    # ---- steps ----------------------------------------------------------------------------------------------------------

    async def _do(self, step: Step, nodes: Nodes, wanted: Wanted) -> bool:
        """Do a step; whether the next one may follow."""
        match step:
            case Make():
                if (early_s := self._make_at - self._loop.time()) > 0:
                    self.looking.later(early_s)
                    return False
                await nodes.make(self._around.options().sg_grant)
                self.wishes.renew = False
            case Remove():
                await nodes.remove()
                self._make_at = self._loop.time() + AFRESH_S
            case Connect(ring, fresh):
                return await self._connect(ring, fresh, nodes)
            case Disconnect():
                await self.service.end(keep=wanted.presence is Presence.HELD)
            case Write(name, value):
                await nodes.write(name, value)
                if name == paths.STATE and value == str(int(State.CONNECTED)):
                    self.service.announced()
            case Erase(name):
                await nodes.erase(name)
            case Refuse(why):
                await self._could_not(Refusal(why), self.observed)
                return False
        return True

    async def _connect(self, ring: Ring, fresh: bool, nodes: Nodes) -> bool:
        target, guest = self.find_target(), self.guest
        if guest is not None and self.wishes.is_late:
            line = farewell(self.options, guest, self.observed, ring, self._around, self.broken, fresh=fresh)
            if line is not None:
                self.service.answer(line, ring)
            return line is not None
        if target is None or guest is None or not self.wishes.listening or target.leases.draining:
            return False
        observed = self.observed
        if not fresh and observed.target not in ("", target.name):
            _log.warning("%s: its guest has used target %s, so it gets %s anew", self, observed.target, target.name)
            self.wishes.leave(0)
            return True
        try:
            session = Session(self.options, guest, target, observed, ring, self._around, self.broken, fresh=fresh)
        except Refused as error:
            await self._could_not(error.refusal, observed)
            return False
        self._waits_since = None
        serves = await self.service.begin(session, ring, partial(nodes.write, paths.TARGET, target.name))
        if session.connection.loss:
            await nodes.say_error(session.connection.loss)
        return serves

    async def _could_not(self, refusal: Refusal, observed: Observed) -> None:
        """Try again, or refuse the front end: what it had written may be read in the middle of a change, and other causes pass."""
        nodes = self._possession.nodes
        assert nodes is not None, "they were read"
        now = self._loop.time()
        if refusal.would_overtake or self._waits_since is None:
            self._waits_since = now
        self._would_overtake = refusal.would_overtake
        if refusal.passes and now - self._waits_since < _PASSES_S:
            self.looking.later(_AGAIN_S)
            return
        self.observed = await nodes.read()
        if (self.observed.ring, self.observed.front) == (observed.ring, observed.front):
            self._waits_since = None
            await self._refuse(refusal)
        self.wake()

    async def _refuse(self, refusal: Refusal) -> None:
        self.wishes.refuse(refusal)
        _log.warning("%s: %s", self, refusal)
        if self._possession.nodes is not None:
            with suppress(OSError):
                await self._possession.nodes.say_error(str(refusal))

    def broken(self, why: str) -> None:
        """The guest has broken the rules: it is cut off until it starts anew, or somebody attaches it again."""
        refusal = Refusal(f"it is cut off: {why}")
        self.wishes.refuse(refusal)
        errand = self._loop.create_task(self._cut_off(refusal))
        self._errands.add(errand)
        errand.add_done_callback(self._is_done)

    def _is_done(self, errand: asyncio.Task[None]) -> None:
        self._errands.discard(errand)
        self.wake()

    async def _cut_off(self, refusal: Refusal) -> None:
        await self.service.end(keep=False)
        if self.wishes.refusal is refusal:  # nobody has offered it again meanwhile
            await self._refuse(refusal)

    async def _lose(self, nodes: Nodes) -> None:
        """The guest is gone: nothing may be left of it."""
        _log.info("%s: its guest is gone", self)
        if self._errands:  # what they write about it is removed, and not said of the next guest
            await asyncio.wait(set(self._errands))
        await self.service.end(keep=False)
        lost = Wanted(Presence.LOST, found=self.wishes.found)
        for step in next_steps(await nodes.read(), lost, self.service.link):
            await self._do(step, nodes, lost)
        if self.guest is not None:
            remove_journal(self._around.options(), self.guest, self.options.dev)
        await nodes.bury()
        await self._possession.give_up()
        self.observed = Observed()
        self.wishes.forget()
        self._make_at, self._waits_since = 0.0, None
