"""Any sequence of actions, beside a model that knows only a dictionary of keys, a holder and a type."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.registrants import ALICE, BOB, CAROL, PORTS, nexus, plan, port_of

from tgtcore.errors import CheckCondition, ReservationConflict
from tgtcore.reservations import NexusIdentity, ReservationClass, Reservations
from tgtcore.reservations.saved import restored, saved
from tgtcore.scsi.persistent import InAction, OutAction

SENDERS = st.sampled_from([ALICE, BOB, CAROL, nexus("alice", 2)])
KEYS = st.integers(0, 3)
TYPES = st.sampled_from([1, 3, 5, 6, 7, 8])
READERS, ALL = (1, 5, 7), (7, 8)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real = Reservations()
        self.keys: dict[NexusIdentity, int] = {}
        self.type = 0
        self.holder: NexusIdentity | None = None
        self.count = 0

    # ---- the model ----

    def end_if_nobody_holds(self) -> None:
        if self.type and (not self.keys if self.type in ALL else self.holder not in self.keys):
            self.type, self.holder = 0, None

    def expect(self, good: bool, who: NexusIdentity, action: OutAction, **fields: object) -> None:
        """Run the action; it must succeed exactly when the model says so, and leave everything as it was otherwise."""
        before = self.real.state
        try:
            outcome = plan(self.real, who, action, **fields)  # type: ignore[arg-type]
        except (ReservationConflict, CheckCondition):
            assert not good
            assert self.real.state is before
            return
        assert good
        assert who not in {told for told, _ in outcome.attentions}
        assert {told for told, _ in outcome.attentions} <= set(before.registrations)
        assert (outcome.to_save is None) is (saved(before) == saved(outcome.state))
        self.real.adopt(outcome)

    # ---- the actions ----

    @rule(who=SENDERS, key=KEYS, new=KEYS, ignore=st.booleans(), every=st.booleans(), persist=st.booleans())
    def register(self, who: NexusIdentity, key: int, new: int, ignore: bool, every: bool, persist: bool) -> None:
        action = OutAction.REGISTER_AND_IGNORE_EXISTING_KEY if ignore else OutAction.REGISTER
        good = ignore or key == self.keys.get(who, 0)
        self.expect(good, who, action, key=key, new=new, all_ports=every, persist=persist)
        if not good or (not new and who not in self.keys):
            return
        for port in PORTS if every else (who.relative_id,):
            same = NexusIdentity(who.transport_id, port, PORTS[port])
            if new:
                self.keys[same] = new
            else:
                self.keys.pop(same, None)
        self.count += 1
        self.end_if_nobody_holds()

    @rule(who=SENDERS, key=KEYS, kind=TYPES)
    def reserve(self, who: NexusIdentity, key: int, kind: int) -> None:
        known = self.keys.get(who) == key
        mine = kind == self.type and (self.type in ALL or self.holder == who)
        self.expect(known and (not self.type or mine), who, OutAction.RESERVE, key=key, kind=kind)
        if known and not self.type:
            self.type, self.holder = kind, who

    @rule(who=SENDERS, key=KEYS, kind=TYPES)
    def release(self, who: NexusIdentity, key: int, kind: int) -> None:
        known = self.keys.get(who) == key
        holds = bool(self.type) and (self.type in ALL or self.holder == who)
        self.expect(known and (not holds or kind == self.type), who, OutAction.RELEASE, key=key, kind=kind)
        if known and holds and kind == self.type:
            self.type, self.holder = 0, None

    @rule(who=SENDERS, key=KEYS)
    def clear(self, who: NexusIdentity, key: int) -> None:
        known = self.keys.get(who) == key
        self.expect(known, who, OutAction.CLEAR, key=key)
        if known:
            self.keys.clear()
            self.count += 1
            self.end_if_nobody_holds()

    @rule(who=SENDERS, key=KEYS, other=KEYS, kind=TYPES, abort=st.booleans())
    def preempt(self, who: NexusIdentity, key: int, other: int, kind: int, abort: bool) -> None:
        action = OutAction.PREEMPT_AND_ABORT if abort else OutAction.PREEMPT
        everything = self.type in ALL and not other
        good = self.keys.get(who) == key and (everything or (other > 0 and other in self.keys.values()))
        self.expect(good, who, action, key=key, new=other, kind=kind)
        if not good:
            return
        single = self.holder is not None and self.type not in ALL and self.keys[self.holder] == other
        take_over = everything or single
        for nexus_, registered in list(self.keys.items()):
            if (everything or registered == other) and not (take_over and nexus_ == who):
                del self.keys[nexus_]
        self.count += 1
        if take_over:
            self.type, self.holder = kind, who
        self.end_if_nobody_holds()

    @rule(
        who=SENDERS,
        key=KEYS,
        new=KEYS,
        to=st.sampled_from(["alice", "bob"]),
        port=st.integers(1, 3),
        leave=st.booleans(),
    )
    def move(self, who: NexusIdentity, key: int, new: int, to: str, port: int, leave: bool) -> None:
        holds = bool(self.type) and self.type not in ALL and self.holder == who
        elsewhere = port_of(to) != who.transport_id and port in PORTS
        good = self.keys.get(who) == key and holds and new > 0 and elsewhere
        ids = (port_of(to),)
        self.expect(good, who, OutAction.REGISTER_AND_MOVE, key=key, new=new, ids=ids, port=port, unregister=leave)
        if not good:
            return
        self.holder = nexus(to, port)
        self.keys[self.holder] = new
        if leave:
            del self.keys[who]
        self.count += 1

    @rule(who=SENDERS)
    def lose_and_reset(self, who: NexusIdentity) -> None:
        self.real.nexus_lost(who)
        self.real.reset()

    # ---- what must always be so ----

    @invariant()
    def keys_holder_and_generation_agree(self) -> None:
        state = self.real.state
        assert state.registrations == self.keys
        assert 0 not in self.keys.values()
        assert state.generation == self.count
        assert (state.reservation.type if state.reservation else 0) == self.type
        holders = {who for who in self.keys if state.holds(who)}
        assert holders == (set(self.keys) if self.type in ALL else {self.holder} if self.type else set())

    @invariant()
    def access_agrees(self) -> None:
        assert self.real.active is bool(self.type)
        for who in (ALICE, BOB, CAROL, nexus("alice", 2), nexus("dave")):
            free = not self.type or (who in self.keys and (self.type > 3 or who == self.holder))
            assert self.real.conflict(who, ReservationClass.WRITE) is not free
            assert self.real.conflict(who, ReservationClass.READ) is not (free or self.type in READERS)

    @invariant()
    def what_is_saved_comes_back(self) -> None:
        state = self.real.state
        back = restored(saved(state))
        if state.persist and self.keys:
            assert (back.registrations, back.reservation) == (state.registrations, state.reservation)
        else:
            assert not back.registrations

    @invariant()
    def reports_agree(self) -> None:
        keys = self.real.persistent_reserve_in(InAction.READ_KEYS, can_persist=True)
        assert int.from_bytes(keys[:4], "big") == self.count
        assert len(keys) == 8 + 8 * len(self.keys)
        full = self.real.persistent_reserve_in(InAction.READ_FULL_STATUS, can_persist=True)
        assert int.from_bytes(full[4:8], "big") == len(full) - 8


TestModel = Machine.TestCase
