"""Playbooks: what comes to a queue, and what it does about it."""

import pytest
from tgtcore_ibmvio.crq import Event, Queue, State
from tgtcore_ibmvio.crq.elements import INIT, INIT_COMPLETE, PING, PING_RESPONSE
from tgtcore_ibmvio.crq.outbox import STALL_S
from tgtcore_ibmvio.crq.queue import HELD_MAX
from tgtcore_ibmvio.crq.retry import GIVE_UP_S
from tgtcore_ibmvio.platform import Hcall

FAILED, DEREGISTERED, MIGRATED = (bytes((0xFF, code)) + bytes(14) for code in (1, 2, 6))
SUSPEND, RESUME = (bytes((0xFF, code)) + bytes(14) for code in (9, 10))
OVERWRITTEN = bytes((0xFF, 10, 0, 0x20)) + bytes(12)
SRP, MAD = (bytes((0x80, code, 0, 0, 0, 30, 1, 0)) + (0xC0DE).to_bytes(8, "big") for code in (1, 2))
NONSENSE = bytes((0x80, 0x77)) + bytes(14)


class Session:
    """The owner of a queue; its commands end when the test says so."""

    busy = False

    def __init__(self):
        self.log = []
        self.at_once = True
        self._then = []

    def begin(self):
        self.log.append("begin")

    def end(self, then):
        self.log.append("end")
        self._then.append(then)
        if self.at_once:
            self.ended()

    def ended(self):
        (then,) = self._then
        self._then.clear()
        then()

    def receive(self, address, length):
        self.log.append(("srp", address, length))

    def rests(self):
        self.log.append("rests")

    def answer_mad(self, address, length):
        self.log.append(("mad", address, length))


class Slot:
    def __init__(self):
        self.gone = 0

    def sent(self):
        self.gone += 1


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def queue(adapter, session, clock):
    return Queue(adapter, session, clock.later, "adapter 30000003")


@pytest.fixture
def connected(queue, adapter):
    queue.open()
    queue.element(INIT)
    adapter.sent.clear()
    adapter.calls.clear()
    assert queue.state is State.CONNECTED
    return queue


def kinds(session):
    return [one if isinstance(one, str) else one[0] for one in session.log]


# ---- the handshake ----------------------------------------------------------------------------------------------------


def test_we_greet_and_the_partner_answers(queue, adapter, session):
    queue.open()
    assert (queue.state, adapter.sent) == (State.WAITING, [INIT])
    queue.element(INIT_COMPLETE)
    assert (queue.state, session.log) == (State.CONNECTED, ["begin"])
    assert adapter.sent == [INIT]


def test_the_partner_greets_and_we_answer(queue, adapter, session):
    adapter.answers["register"] = [Hcall.CLOSED]
    adapter.answers["send"] = [Hcall.CLOSED, Hcall.SUCCESS]
    queue.open()
    assert (queue.state, adapter.sent) == (State.WAITING, [])
    queue.element(INIT)
    assert (queue.state, session.log, adapter.sent) == (State.CONNECTED, ["begin"], [INIT_COMPLETE])


@pytest.mark.parametrize("greets_meanwhile", [False, True])
def test_we_greet_when_the_platform_has_time(queue, adapter, clock, greets_meanwhile):
    adapter.answers["send"] = [Hcall.LONG_BUSY_ORDER_10_MS, Hcall.SUCCESS]
    queue.open()
    assert (queue.state, adapter.sent) == (State.WAITING, [])
    if greets_meanwhile:
        queue.element(INIT)
    clock.advance(1)
    assert adapter.sent == [INIT_COMPLETE if greets_meanwhile else INIT]
    assert clock.pending == 0


def test_both_greet_at_the_same_time(queue, adapter, session):
    queue.open()
    queue.element(INIT)
    queue.element(INIT_COMPLETE)
    queue.element(MAD)
    assert adapter.sent == [INIT, INIT_COMPLETE]
    assert kinds(session) == ["begin", "mad"]


def test_a_greeting_that_is_in_the_queue_already_is_answered(queue, adapter, session):
    def register(listener):
        listener.element(INIT)
        return Hcall.SUCCESS

    adapter.register = register
    queue.open()
    assert (queue.state, adapter.sent) == (State.CONNECTED, [INIT_COMPLETE]), (
        "who greets too is shaken hands with twice"
    )


def test_a_greeting_of_a_partner_that_has_gone_is_not_answered(queue, adapter, clock):
    adapter.answers["register"] = [Hcall.BUSY, Hcall.SUCCESS]
    queue.open()
    queue.element(INIT)
    queue.element(DEREGISTERED)
    clock.advance(1)
    assert (queue.state, adapter.sent) == (State.WAITING, [INIT])


def test_what_comes_before_the_handshake_is_of_a_former_life(queue, session):
    queue.open()
    for stale in (SRP, MAD, NONSENSE):
        queue.element(stale)
    assert (queue.state, session.log, queue.discarded) == (State.WAITING, [], 3)


def test_a_partner_that_has_gone_when_we_answer(queue, adapter, session):
    queue.open()
    adapter.answers["send"] = [Hcall.CLOSED]
    queue.element(INIT)
    assert (queue.state, session.log) == (State.WAITING, ["begin", "end"])


# ---- work -------------------------------------------------------------------------------------------------------------


def test_requests_reach_the_owner_in_order(connected, session):
    for element in (MAD, SRP, SRP):
        connected.element(element)
    assert session.log == ["begin", ("mad", 0xC0DE, 256), ("srp", 0xC0DE, 256), ("srp", 0xC0DE, 256)]


def test_a_ping_is_answered(connected, adapter):
    connected.element(PING)
    assert adapter.sent == [PING_RESPONSE]


def test_many_pings_of_a_partner_that_takes_no_answer_cost_one_place(connected, adapter):
    adapter.answers["send"] = [Hcall.DROPPED]
    for _ in range(1000):
        connected.element(PING)
    assert connected.waiting == 1


def test_our_ping_finds_out_that_the_partner_has_gone(connected, adapter, session):
    connected.ping()
    assert adapter.sent == [PING]
    connected.element(PING_RESPONSE)
    adapter.answers["send"] = [Hcall.CLOSED]
    connected.ping()
    assert (connected.state, session.log) == (State.WAITING, ["begin", "end"])


def test_answers_wait_in_order_while_the_queue_of_the_partner_is_full(connected, adapter, clock):
    adapter.answers["send"] = [Hcall.DROPPED, Hcall.DROPPED, Hcall.SUCCESS, Hcall.DROPPED, Hcall.SUCCESS]
    elements = [bytes((0x80, 1)) + number.to_bytes(14, "big") for number in range(4)]
    slots = [Slot() for _ in elements]
    for element, slot in zip(elements, slots, strict=True):
        connected.send(element, slot)
    assert (adapter.sent, connected.waiting) == ([], 4)
    clock.advance(1)
    assert (adapter.sent, connected.waiting) == (elements, 0)
    assert [slot.gone for slot in slots] == [1, 1, 1, 1]
    assert clock.pending == 0


def test_a_partner_that_never_empties_its_queue_is_reset(connected, adapter, session, clock):
    adapter.answers["send"] = [Hcall.DROPPED]
    slot = Slot()
    connected.send(PING, slot)
    clock.advance(STALL_S + 1)
    assert (connected.state, kinds(session)) == (State.WAITING, ["begin", "end"])
    assert (slot.gone, connected.waiting, clock.pending) == (0, 0, 0)
    assert "free" in adapter.calls


@pytest.mark.parametrize(("answer", "freed"), [(Hcall.CLOSED, False), (Hcall.HARDWARE, True), (Hcall.PARAMETER, True)])
def test_a_send_that_fails_ends_the_session(connected, adapter, session, answer, freed):
    adapter.answers["send"] = [answer]
    slot = Slot()
    connected.send(PING, slot)
    assert (connected.state, session.log, slot.gone) == (State.WAITING, ["begin", "end"], 0)
    assert ("free" in adapter.calls) == freed


# ---- the partner goes and comes back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [FAILED, DEREGISTERED, MIGRATED])
def test_a_partner_that_goes_and_comes_back(connected, adapter, session, event):
    connected.element(event)
    assert (connected.state, session.log) == (State.WAITING, ["begin", "end"])
    assert "free" not in adapter.calls, "both would close their queues for ever"
    assert ("enable" in adapter.calls) == (event is MIGRATED)
    connected.element(INIT)
    assert (connected.state, session.log[2:], adapter.sent) == (State.CONNECTED, ["begin"], [INIT_COMPLETE])


def test_a_partner_that_is_back_before_its_commands_have_ended(connected, adapter, session):
    session.at_once = False
    connected.element(DEREGISTERED)
    connected.element(SRP)
    connected.element(INIT)
    assert (connected.state, adapter.sent, connected.discarded) == (State.LEAVING, [], 1)
    session.ended()
    assert (connected.state, adapter.sent) == (State.CONNECTED, [INIT_COMPLETE])
    assert session.log == ["begin", "end", "begin"]


def test_a_partner_that_was_back_and_has_gone_again(connected, adapter, session):
    session.at_once = False
    for element in (DEREGISTERED, INIT, FAILED):
        connected.element(element)
    session.ended()
    assert (connected.state, adapter.sent, session.log) == (State.WAITING, [], ["begin", "end"])


def test_a_partner_that_begins_again_without_a_word(connected, adapter, session):
    """A kernel that was started by another one (kexec), or that has lost its patience."""
    connected.element(INIT)
    assert (connected.state, session.log, adapter.sent) == (State.CONNECTED, ["begin", "end", "begin"], [INIT_COMPLETE])


def test_a_partner_that_pings_and_is_gone_stops_nobody_who_comes_later(queue, adapter):
    queue.open()
    adapter.answers["send"] = [Hcall.CLOSED, Hcall.SUCCESS]
    queue.element(PING)
    queue.element(INIT)
    assert (queue.state, adapter.sent, queue.waiting) == (State.CONNECTED, [INIT, INIT_COMPLETE], 0)


# ---- a partner that is not wanted now --------------------------------------------------------------------------------


@pytest.fixture
def shut(connected, adapter):
    """The session was ended, and the partner has heard of that."""
    connected.shut()
    assert (connected.state, adapter.calls, adapter.sent) == (State.SHUT, ["free", "register"], [])
    connected.element(DEREGISTERED)
    return connected


def test_a_partner_that_is_not_wanted_waits_for_an_answer_until_it_is(shut, adapter, session):
    shut.element(INIT)
    shut.element(SRP)
    assert (shut.state, adapter.sent, session.log) == (State.SHUT, [], ["begin", "end", "rests"])
    shut.open()
    shut.open()
    assert (shut.state, adapter.sent, session.log[3:]) == (State.CONNECTED, [INIT_COMPLETE], ["begin"])


def test_a_partner_that_has_not_come_is_greeted_when_it_is_wanted(shut, adapter):
    shut.open()
    assert (shut.state, adapter.sent) == (State.WAITING, [INIT])


def test_a_partner_that_waited_and_went_is_not_answered(shut, adapter):
    shut.element(INIT)
    shut.element(FAILED)
    shut.open()
    assert (shut.state, adapter.sent) == (State.WAITING, [INIT])


def test_a_partner_that_waited_and_migrated_greets_again(shut, adapter):
    for element in (INIT, MIGRATED):
        shut.element(element)
    shut.open()
    assert (shut.state, adapter.calls[-2:], adapter.sent) == (State.WAITING, ["enable", "send"], [INIT])
    shut.element(INIT)
    assert (shut.state, adapter.sent) == (State.CONNECTED, [INIT, INIT_COMPLETE])


def test_a_queue_that_is_being_enabled_is_enabled_though_the_partner_is_greeted(queue, adapter, clock):
    adapter.answers["enable"] = [Hcall.IN_PROGRESS, Hcall.SUCCESS]
    queue.shut()
    queue.element(MIGRATED)
    queue.open()
    clock.advance(1)
    assert (adapter.calls.count("enable"), adapter.sent) == (2, [INIT])


def test_a_partner_that_waits_in_vain_hears_that_there_is_no_queue(shut, adapter, session):
    shut.element(INIT)
    shut.close()
    assert (shut.state, adapter.calls[-1], adapter.sent) == (State.CLOSED, "free", [])
    shut.open()
    assert (shut.state, adapter.sent) == (State.WAITING, [INIT]), "the greeting was for the queue that is gone"


def test_a_partner_that_was_greeted_before_the_door_was_shut_hears_that_it_must_wait(queue, adapter, session):
    queue.open()
    queue.shut()
    assert (queue.state, adapter.sent, session.log) == (State.SHUT, [INIT], ["rests"])
    adapter.calls.clear()
    queue.element(INIT_COMPLETE)
    assert (queue.state, adapter.calls, session.log) == (State.SHUT, ["free", "register"], ["rests", "rests"])


def test_a_partner_that_goes_while_nobody_wants_it_leaves_the_queue(connected, adapter, session):
    session.at_once = False
    connected.element(DEREGISTERED)
    connected.shut()
    connected.element(INIT)
    session.ended()
    assert (connected.state, adapter.calls, adapter.sent) == (State.SHUT, [], [])
    assert connected.rests
    connected.open()
    assert (connected.state, adapter.sent) == (State.CONNECTED, [INIT_COMPLETE])


def test_the_platform_that_ends_is_asked_nothing_more(shut, adapter, session, clock):
    adapter.answers = {"send": [Hcall.DROPPED], "enable": [Hcall.BUSY], "ready": [Hcall.BUSY]}
    for element in (PING, MIGRATED, SUSPEND, INIT):
        shut.element(element)
    adapter.calls.clear()
    shut.abandon()
    assert (shut.state, shut.waiting, clock.pending) == (State.CLOSED, 0, 0)
    for element in (INIT, SRP, FAILED):
        shut.element(element)
    assert (shut.state, adapter.calls) == (State.CLOSED, [])


@pytest.mark.parametrize("leaves", [State.OPENING, State.REOPENING, State.FREEING, State.RESETTING, State.CLOSING])
def test_the_door_is_shut_wherever_the_queue_is(queue, adapter, session, clock, leaves):
    session.at_once = False
    if leaves is State.OPENING:
        adapter.answers["register"] = [Hcall.BUSY, Hcall.SUCCESS]
        queue.open()
    elif leaves in (State.REOPENING, State.FREEING):
        adapter.answers["free"] = [Hcall.BUSY, Hcall.SUCCESS]
        queue.open()
        (queue.reset if leaves is State.REOPENING else queue.close)()
    else:
        queue.open()
        queue.element(INIT)
        (queue.reset if leaves is State.RESETTING else queue.close)()
    assert queue.state is leaves
    queue.shut()
    if leaves in (State.RESETTING, State.CLOSING):
        session.ended()
    clock.advance(1)
    assert (queue.state, session.log[-1], clock.pending) == (State.SHUT, "rests", 0)


def test_a_queue_that_nobody_has_wanted_yet_is_shut_from_the_beginning(queue, adapter, session):
    queue.shut()
    assert (queue.state, adapter.calls, session.log) == (State.SHUT, ["register"], ["rests"])
    queue.open()
    assert (queue.state, adapter.sent) == (State.WAITING, [INIT])


# ---- suspension -------------------------------------------------------------------------------------------------------


def test_what_comes_while_the_partner_is_suspended_is_kept(connected, session):
    for element in (SUSPEND, SRP, MAD, SRP):
        connected.element(element)
    assert (connected.state, session.log) == (State.SUSPENDED, ["begin"])
    connected.element(RESUME)
    assert (connected.state, kinds(session)) == (State.CONNECTED, ["begin", "srp", "mad", "srp"])


def test_the_platform_hears_when_nothing_is_under_way(connected, adapter, session, clock):
    session.busy = True
    connected.element(SUSPEND)
    clock.advance(1)
    assert adapter.calls == []
    session.busy = False
    clock.advance(1)
    assert (connected.state, adapter.calls, clock.pending) == (State.SUSPENDED, ["ready"], 0)


def test_an_answer_that_waits_for_room_is_under_way(connected, adapter, clock):
    adapter.answers["send"] = [Hcall.DROPPED]
    connected.send(PING)
    connected.element(SUSPEND)
    clock.advance(0.1)
    assert "ready" not in adapter.calls
    adapter.answers["send"] = [Hcall.SUCCESS]
    clock.advance(0.2)
    assert adapter.calls[-1] == "ready"


def test_a_suspension_that_is_called_off_is_not_answered(connected, adapter, session, clock):
    """Nor is the next one with the readiness for the first."""
    session.busy = True
    connected.element(SUSPEND)
    connected.element(RESUME)
    assert (connected.state, clock.pending) == (State.CONNECTED, 0)
    session.busy = False
    clock.advance(1)
    assert adapter.calls == []
    for element in (SUSPEND, SUSPEND):
        connected.element(element)
    assert adapter.calls == ["ready", "ready"]


@pytest.mark.parametrize("event", [DEREGISTERED, MIGRATED, INIT])
def test_a_partner_that_goes_while_it_was_to_be_suspended(connected, adapter, session, clock, event):
    session.at_once = False
    session.busy = True
    connected.element(SUSPEND)
    connected.element(event)
    session.busy = False
    clock.advance(0.1)
    assert (connected.state, "ready" in adapter.calls) == (State.LEAVING, False), "its commands have not ended"
    session.ended()
    clock.advance(2)
    assert adapter.calls.count("ready") == 1
    assert connected.state is (State.CONNECTED if event is INIT else State.WAITING)


@pytest.mark.parametrize("where", [State.SHUT, State.WAITING])
def test_without_a_session_there_is_nothing_to_wait_for(queue, adapter, where):
    (queue.open if where is State.WAITING else queue.shut)()
    for element in (SUSPEND, RESUME):
        queue.element(element)
    assert (queue.state, adapter.calls[-1]) == (where, "ready")


def test_a_session_that_is_being_reset_must_end_first(connected, adapter, session, clock):
    session.at_once = False
    connected.reset()
    connected.element(SUSPEND)
    clock.advance(0.1)
    assert (connected.state, adapter.calls) == (State.RESETTING, [])
    session.ended()
    clock.advance(2)
    assert (adapter.calls, clock.pending) == (["free", "register", "send"], 0), "a new queue was told of nothing"


def test_a_platform_that_suspends_nobody_is_asked_again_if_it_wants_that(connected, adapter, clock, caplog):
    adapter.answers["ready"] = [Hcall.LONG_BUSY_ORDER_1_S, Hcall.PARAMETER]
    connected.element(SUSPEND)
    clock.advance(1.1)
    assert (connected.state, adapter.calls, clock.pending) == (State.SUSPENDED, ["ready", "ready"], 0)
    assert "can't be suspended: PARAMETER" in caplog.text


def test_nobody_waits_for_ever_for_a_command_that_hangs(connected, adapter, session, clock, caplog):
    session.busy = True
    connected.element(SUSPEND)
    clock.advance(GIVE_UP_S + 2)
    assert (connected.state, adapter.calls, clock.pending) == (State.SUSPENDED, [], 0)
    assert "can't be suspended: BUSY" in caplog.text


@pytest.mark.parametrize("end", ["close", "shut"])
def test_a_suspended_partner_is_not_wanted_any_more(connected, adapter, session, clock, end):
    session.busy = True
    connected.element(SUSPEND)
    getattr(connected, end)()
    assert (connected.state, session.log[1]) == (State.CLOSED if end == "close" else State.SHUT, "end")
    clock.advance(GIVE_UP_S)
    assert ("ready" in adapter.calls, clock.pending) == (False, 0)


def test_a_lost_element_ends_the_session(connected, adapter, session):
    for element in (SUSPEND, OVERWRITTEN):
        connected.element(element)
    assert (connected.state, session.log) == (State.WAITING, ["begin", "end"])
    assert ("free" in adapter.calls, adapter.sent) == (True, [INIT])


def test_a_suspended_partner_that_migrates(connected, session):
    for element in (SUSPEND, SRP, MIGRATED, INIT, RESUME):
        connected.element(element)
    assert (connected.state, kinds(session)) == (State.CONNECTED, ["begin", "end", "begin"])


def test_no_more_is_kept_than_a_queue_can_have(connected, session):
    connected.element(SUSPEND)
    for _ in range(HELD_MAX):
        connected.element(SRP)
    assert connected.state is State.SUSPENDED
    connected.element(SRP)
    assert (connected.state, session.log) == (State.WAITING, ["begin", "end"])


# ---- violations -------------------------------------------------------------------------------------------------------


def test_nonsense_ends_the_session_and_the_partner_hears_of_it(connected, adapter, session):
    session.at_once = False
    connected.element(NONSENSE)
    assert (connected.state, session.log, adapter.calls) == (State.RESETTING, ["begin", "end"], [])
    connected.element(SRP)
    session.ended()
    assert (connected.state, adapter.calls, adapter.sent) == (State.WAITING, ["free", "register", "send"], [INIT])
    assert kinds(session) == ["begin", "end"]


def test_nonsense_fills_no_log(connected, session, caplog):
    session.at_once = False
    for _ in range(1000):
        connected.element(NONSENSE)
    session.ended()
    for _ in range(1000):
        connected.element(NONSENSE)
    (told,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert NONSENSE.hex() in told.message
    assert connected.discarded == 1999


def test_only_the_first_of_several_failures_ends_the_session(connected, session):
    session.at_once = False
    connected.fail(Event.VIOLATION, "as the test wants")
    connected.fail(Event.PARTNER_CLOSED, "as the test wants")
    connected.element(DEREGISTERED)
    assert session.log == ["begin", "end"]


# ---- the platform -----------------------------------------------------------------------------------------------------


def test_a_busy_platform_is_asked_again(queue, adapter, clock):
    adapter.answers["register"] = [Hcall.BUSY, Hcall.BUSY, Hcall.SUCCESS]
    queue.open()
    assert queue.state is State.OPENING
    clock.advance(0.1)
    assert queue.state is State.WAITING
    adapter.answers["free"] = [Hcall.BUSY, Hcall.SUCCESS]
    queue.close()
    assert queue.state is State.FREEING
    clock.advance(0.1)
    assert (queue.state, clock.pending) == (State.CLOSED, 0)


@pytest.mark.parametrize(
    ("code", "wait_s"),
    [(9900, 0.001), (9901, 0.01), (9902, 0.1), (9903, 1), (9904, 10), (9905, 100)],
)
def test_a_platform_that_wants_to_be_left_alone_for_so_long_is(queue, adapter, clock, code, wait_s):
    adapter.answers["register"] = [Hcall(code), Hcall.SUCCESS]
    queue.open()
    clock.advance(0.9 * wait_s)
    assert adapter.calls == ["register"]
    clock.advance(0.2 * wait_s)
    assert queue.state is State.WAITING
    adapter.answers["free"] = [Hcall(code)] * 5 + [Hcall.SUCCESS]
    queue.close()
    clock.advance(5.1 * wait_s)
    assert (queue.state, adapter.calls.count("free"), clock.pending) == (State.CLOSED, 6, 0)


def test_a_platform_that_never_has_time_is_given_up(queue, adapter, clock):
    adapter.answers["free"] = [Hcall.LONG_BUSY_ORDER_100_S]
    queue.open()
    queue.close()
    clock.advance(1101)
    assert (queue.state, adapter.calls.count("free"), clock.pending) == (State.CLOSED, 11, 0)


def test_what_can_not_be_sent_now_is_sent_as_late_as_the_platform_wants(connected, adapter, clock):
    adapter.answers["send"] = [Hcall.LONG_BUSY_ORDER_1_S, Hcall.SUCCESS]
    slot = Slot()
    connected.send(PING, slot)
    clock.advance(0.9)
    assert (adapter.calls, slot.gone) == (["send"], 0)
    clock.advance(0.2)
    assert (adapter.sent, slot.gone) == ([PING], 1)


def test_a_platform_that_refuses_is_asked_when_somebody_wants_it_again(queue, adapter):
    adapter.answers["register"] = [Hcall.RESOURCE, Hcall.SUCCESS]
    queue.open()
    assert (queue.state, adapter.calls) == (State.CLOSED, ["register", "free"])
    queue.open()
    assert queue.state is State.WAITING


def test_a_queue_that_can_not_be_enabled_is_made_anew(connected, adapter, clock):
    adapter.answers["enable"] = [Hcall.IN_PROGRESS]
    connected.element(MIGRATED)
    assert connected.state is State.WAITING
    adapter.calls.clear()
    clock.advance(GIVE_UP_S + 2)
    assert "register" in adapter.calls


def test_nobody_waits_for_ever_for_the_platform(queue, adapter, clock):
    queue.open()
    adapter.answers["free"] = [Hcall.BUSY]
    queue.close()
    clock.advance(GIVE_UP_S + 2)
    assert (queue.state, clock.pending) == (State.CLOSED, 0)


# ---- opened and closed from above ----------------------------------------------------------------------------------------


def test_closing_waits_for_the_last_command(connected, adapter, session):
    session.at_once = False
    connected.close()
    connected.close()
    assert (connected.state, adapter.calls) == (State.CLOSING, [])
    session.ended()
    assert (connected.state, adapter.calls) == (State.CLOSED, ["free"])
    assert session.log == ["begin", "end", "rests"]


def test_opened_again_before_it_was_closed(connected, adapter, session):
    session.at_once = False
    connected.close()
    connected.open()
    session.ended()
    assert (connected.state, adapter.calls) == (State.WAITING, ["free", "register", "send"])


def test_closed_while_the_platform_is_asked(queue, adapter, clock):
    adapter.answers["register"] = [Hcall.BUSY]
    queue.open()
    queue.close()
    assert (queue.state, clock.pending) == (State.CLOSED, 0)


def test_closed_and_opened_while_the_platform_takes_the_queue_back(queue, adapter, clock):
    queue.open()
    adapter.answers["free"] = [Hcall.BUSY, Hcall.SUCCESS]
    queue.close()
    queue.open()
    assert queue.state is State.REOPENING
    clock.advance(0.1)
    assert queue.state is State.WAITING
