"""One adapter at work: playbooks of clients, good ones and others, with a core behind."""

import struct
from pathlib import Path

import pytest
from tgtcore_ibmvio.crq.elements import FIELDS, INIT, INIT_COMPLETE, PING
from tgtcore_ibmvio.crq.states import State
from tgtcore_ibmvio.mad import OsType
from tgtcore_ibmvio.mad.records import adapter_info
from tgtcore_ibmvio.platform import Hcall
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.login import LoginReject, LoginRequest
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import Opcode, RejectReason, TaskManagementFunction
from tgtcore_srp.iu.response import Response

from tgtcore import Draining, NexusInUse
from tgtcore.testing.host import HELD, READY, content, read

LOGIN = LoginRequest(1, 256, 6, bytes(16), bytes(16)).build()
LUN_0 = 0x8000 << 48
DEREGISTERED = bytes((0xFF, 2)) + bytes(14)
SUSPEND, RESUME = (bytes((0xFF, code)) + bytes(14) for code in (9, 10))
GOOD, CHECK_CONDITION, BUSY, TASK_SET_FULL = 0x00, 0x02, 0x08, 0x28
GOLDEN = Path(__file__).parent / "golden" / "client_ius.txt"


def command(cdb, tag, lun=LUN_0):
    return Command(tag, lun, 0, cdb.ljust(16, b"\0")).build()


def rejected(scene):
    scene.connect()
    answer = scene.answer(LOGIN)
    assert answer[0] == Opcode.LOGIN_REJ
    return LoginReject.parse(answer).reason


# ---- sessions -----------------------------------------------------------------------------------------------------------


def test_a_client_from_its_greeting_to_its_end(scene):
    assert (scene.state, scene.adapter.sent) == (State.WAITING, [INIT])
    agreed = scene.log_in()
    assert (agreed.delta, agreed.it_iu_bytes, agreed.ti_iu_bytes, agreed.formats) == (16, 256, 256, 6)
    assert scene.command(READY, 2).status == GOOD
    (nexus,) = scene.host.target.nexuses
    assert nexus.initiator_port.name == "lpar7"
    assert nexus.initiator_port.transport_id == bytes((4,)) + bytes(13) + b"\0\x07" + bytes(4) + bytes.fromhex(
        "30000003"
    )
    scene.element(DEREGISTERED)
    assert (scene.host.target.nexuses, scene.state) == ([], State.WAITING)


def test_the_same_client_is_the_same_initiator_port_at_every_login(scene):
    ports = []
    for _ in range(2):
        scene.log_in()
        ports.append(scene.host.target.nexuses[0].initiator_port)
        scene.element(DEREGISTERED)
    assert ports[0] == ports[1]


def test_who_is_not_admitted(scene):
    scene.host.admitted = False
    assert rejected(scene) == RejectReason.UNABLE_TO_ASSOCIATE


def test_a_login_while_sessions_are_not_taken(scene):
    scene.connect()
    scene.server.port.listening = False
    assert LoginReject.parse(scene.answer(LOGIN)).reason == RejectReason.UNABLE_TO_ESTABLISH_CHANNEL


def test_a_target_that_is_going_away(scene):
    scene.connect()
    scene.host.target.leases.shut()
    assert LoginReject.parse(scene.answer(LOGIN)).reason == RejectReason.UNABLE_TO_ASSOCIATE
    scene.server.keep()
    assert scene.state is State.CLOSED


def test_an_adapter_that_leads_nowhere_has_no_queue(scene):
    scene.host.target.options = scene.host.target.options.model_copy(update={"adapters": ("30000009",)})
    scene.server.keep()
    assert scene.state is State.CLOSED
    scene.host.target.options = scene.host.target.options.model_copy(update={"adapters": ("30000003",)})
    scene.server.keep()
    assert scene.state is State.WAITING


def test_a_session_keeps_its_queue_while_none_is_wanted(scene):
    scene.log_in()
    scene.server.port.listening = False
    scene.server.keep()
    assert scene.command(READY, 2).status == GOOD
    scene.element(DEREGISTERED)
    scene.server.keep()
    assert (scene.state, scene.server.idle) == (State.CLOSED, True)


def test_a_session_that_is_dropped_ends_when_its_last_command_has(scene):
    scene.log_in()
    assert scene.ask(command(HELD, 2)) == []
    dropped = []
    scene.server.drop("as the test wants", lambda: dropped.append(True))
    assert (scene.state, dropped) == (State.RESETTING, [])
    scene.host.device(0).release()
    assert (scene.state, dropped) == (State.WAITING, [True])
    assert scene.adapter.calls[-3:] == ["free", "register", "send"]


@pytest.mark.parametrize("ends", ["going away", "not listening"])
def test_a_client_is_not_invited_to_a_login_that_would_be_rejected(scene, ends):
    scene.log_in()
    if ends == "going away":
        scene.host.target.leases.shut()
    else:
        scene.server.port.listening = False
    sent = len(scene.adapter.sent)
    scene.server.drop("as the test wants", lambda: None)
    assert (scene.state, scene.adapter.sent[sent:]) == (State.CLOSED, [])


def drain(scene):
    scene.host.target.drained = True
    scene.host.target.leases.shut()


def reopen(scene):
    scene.host.target.drained = False
    scene.host.target.leases.open()
    scene.server.keep()


def pause(scene):
    scene.server.port.listening, scene.server.pausing = False, True


def go_on(scene):
    scene.server.port.listening, scene.server.pausing = True, False
    scene.server.keep()


@pytest.mark.parametrize(("ends", "begins"), [(drain, reopen), (pause, go_on)])
def test_a_client_waits_for_what_comes_back(scene, ends, begins):
    scene.log_in()
    assert scene.ask(command(HELD, 2)) == []
    ends(scene)
    sent = len(scene.adapter.sent)
    scene.server.drop("as the test wants", lambda: None)
    scene.host.device(0).release()
    assert (scene.state, scene.memory.held_bytes) == (State.SHUT, 0)
    scene.element(DEREGISTERED)
    scene.element(INIT)
    for _ in range(100):
        scene.server.keep()
    assert (scene.state, scene.adapter.sent[sent:], scene.memory.held_bytes) == (State.SHUT, [], 0)
    begins(scene)
    assert scene.adapter.sent[sent:] == [INIT_COMPLETE]
    assert scene.answer(LOGIN)[0] == Opcode.LOGIN_RSP


def test_a_client_that_waits_hears_when_there_is_nothing_to_wait_for_any_more(scene):
    drain(scene)
    scene.server.keep()
    assert scene.state is State.SHUT
    scene.element(INIT)
    scene.host.target.drained = False
    scene.server.keep()
    assert (scene.state, scene.adapter.calls[-1]) == (State.CLOSED, "free")
    scene.host.target.leases.open()


@pytest.mark.parametrize("knows", [True, False])
def test_a_client_that_comes_for_its_login_too_late_is_let_wait(scene, knows):
    """Where only the core knows that the target is drained, it is let try until the news is here."""
    scene.connect()
    if knows:
        drain(scene)
    else:
        scene.host.failure = Draining("the target is going away")
    assert scene.answer(LOGIN)[0] == Opcode.LOGIN_REJ
    scene.clock.advance(0)
    assert (scene.state, scene.memory.held_bytes) == (State.SHUT if knows else State.WAITING, 0)
    scene.element(DEREGISTERED)
    scene.element(INIT)
    scene.host.failure = None
    reopen(scene)
    assert scene.answer(LOGIN)[0] == Opcode.LOGIN_RSP


def test_a_client_whose_commands_of_before_have_not_ended_is_let_try_now_and_then(scene):
    """As after the death of the process that has served it."""
    scene.connect()
    scene.host.failure = NexusInUse("as the test wants")
    for _ in range(3):
        assert scene.answer(LOGIN)[0] == Opcode.LOGIN_REJ
        scene.clock.advance(0)
        assert (scene.state, scene.memory.held_bytes) == (State.SHUT, 0)
        scene.element(DEREGISTERED)
        scene.element(INIT)
        scene.server.keep()
    scene.host.failure = None
    assert scene.answer(LOGIN)[0] == Opcode.LOGIN_RSP


def test_who_is_rejected_for_good_hears_that_once(scene):
    """The queue that is closed meanwhile is not opened again."""
    scene.connect()
    scene.host.target.leases.shut()
    assert scene.answer(LOGIN)[0] == Opcode.LOGIN_REJ
    scene.server.keep()
    scene.clock.advance(0)
    assert scene.state is State.CLOSED


def test_the_server_that_leaves_tells_nobody(scene):
    scene.log_in()
    scene.server.drop("as the test wants", lambda: None)
    scene.element(DEREGISTERED)
    scene.adapter.calls.clear()
    left = []
    scene.server.leave(lambda: left.append(True))
    assert (left, scene.state, scene.adapter.calls) == ([True], State.SHUT, [])
    scene.element(INIT)
    assert scene.adapter.calls == []


def test_the_server_leaves_when_the_last_command_has_ended(scene):
    scene.log_in()
    scene.ask(command(HELD, 2))
    left = []
    scene.server.leave(lambda: left.append(True))
    assert (left, scene.state) == ([], State.RESETTING)
    scene.host.device(0).release()
    assert (left, scene.state) == ([True], State.SHUT)


def test_the_server_of_an_adapter_without_a_queue_leaves_at_once(scene):
    scene.host.target.leases.shut()
    scene.server.keep()
    left = []
    scene.server.leave(lambda: left.append(True))
    assert (left, scene.state) == ([True], State.CLOSED)


# ---- the real client ----------------------------------------------------------------------------------------------------


def test_every_request_of_the_real_client_is_answered(make_scene):
    """As recorded in a guest; one device is there instead of the disks, so most commands are refused, and none is lost."""
    scene = make_scene(memory_bytes=1 << 28)
    scene.connect()
    requests = [line.split()[1:] for line in GOLDEN.read_text().splitlines() if line.startswith("request ")]
    assert len(requests) > 100
    opcodes = set()
    for number, (element, iu) in enumerate(requests, 1):
        request = bytes.fromhex(iu).ljust(256, b"\0")
        _, format_, *_, address = FIELDS.unpack(bytes.fromhex(element))
        if format_ == 1 and request[0] == Opcode.LOGIN_REQ and scene.server.session is not None:
            scene.element(DEREGISTERED)
            scene.element(INIT)
        before = len(scene.adapter.sent)
        scene.adapter.memory[address : address + 256] = request
        scene.element(bytes.fromhex(element))
        (answered,) = scene.adapter.sent[before:]
        assert (answered[0], answered[1], answered[8:]) == (0x80, format_, request[8:16]), f"request {number}"
        opcodes.add((format_, request[0]))
    assert opcodes == {(1, 0), (1, 1), (1, 2), (2, 0)}
    scene.check_quiet()


def test_the_client_introduces_itself(scene):
    scene.connect()
    scene.adapter.memory[0x8000 : 0x8000 + 148] = adapter_info("lpar2", 2, OsType.LINUX, 0)
    (element,) = scene.ask(struct.pack(">IHHQQ", 3, 0, 148, 77, 0x8000), format_=2)
    assert element == bytes.fromhex("80020000") + bytes((0, 0, 0, 16)) + (77).to_bytes(8, "big")
    assert scene.adapter.memory[0x8008 : 0x8008 + 6] == b"vios1\0"
    assert scene.server.mads.partner.partition_name == "lpar2"
    scene.element(DEREGISTERED)
    assert scene.server.mads is None


def test_data_finds_its_way_in_pieces(scene):
    scene.log_in()
    segments = (Segment(0x9000, 0, 1500), Segment(0xB000, 0, 2500))
    buffer = BufferDescriptor.indirect(Segment(0x7000, 0, 32), segments)
    answer = scene.answer(Command(3, LUN_0, 0, read(4000).ljust(16, b"\0"), 0, None, buffer).build())
    assert Response.parse(answer).status == GOOD
    assert scene.adapter.memory[0x9000 : 0x9000 + 1500] + scene.adapter.memory[0xB000 : 0xB000 + 2500] == content(4000)


def test_task_management(scene):
    scene.log_in()
    assert scene.ask(command(HELD, 2)) == []
    answer = scene.ask(TaskManagement(3, LUN_0, TaskManagementFunction.LOGICAL_UNIT_RESET).build(), 0x2000)
    assert answer == [], "the command has not ended"
    scene.host.device(0).release()
    assert Response.parse(scene.adapter.memory[0x2000 : 0x2000 + 40]).code == 0


# ---- clients that go ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [1, 2, 6])
def test_a_client_that_goes_with_a_command_under_way_and_comes_back_at_once(scene, event):
    scene.log_in()
    scene.ask(command(HELD, 2))
    sent = len(scene.adapter.sent)
    scene.element(bytes((0xFF, event)) + bytes(14))
    scene.element(INIT)
    assert scene.adapter.sent[sent:] == [], "its old commands have not ended"
    scene.host.device(0).release()
    assert scene.adapter.sent[sent:] == [INIT_COMPLETE]
    assert scene.answer(LOGIN)[0] == Opcode.LOGIN_RSP


def test_a_client_that_is_suspended_loses_nothing(scene):
    scene.log_in()
    scene.ask(command(HELD, 2), 0x1000)
    scene.element(SUSPEND)
    assert scene.ask(command(READY, 3), 0x2000) == []
    scene.host.device(0).release()
    scene.element(RESUME)
    tags = [FIELDS.unpack(element)[-1] for element in scene.adapter.sent[-2:]]
    assert tags == [2, 3]


def test_a_client_is_suspended_when_its_commands_have_ended(scene):
    scene.log_in()
    scene.ask(command(HELD, 2), 0x1000)
    scene.ask(TaskManagement(3, LUN_0, TaskManagementFunction.LOGICAL_UNIT_RESET).build(), 0x2000)
    scene.element(SUSPEND)
    scene.clock.advance(1)
    assert "ready" not in scene.adapter.calls
    scene.host.device(0).release()
    scene.clock.advance(1)
    assert scene.adapter.calls[-1] == "ready"
    scene.element(RESUME)
    assert scene.command(READY, 4).status == CHECK_CONDITION, "it hears of its reset"
    assert scene.command(READY, 5).status == GOOD


def test_who_has_gone_without_its_answers_holds_up_no_suspension(scene):
    scene.log_in()
    scene.adapter.answers["send"] = [Hcall.DROPPED]
    scene.ask(struct.pack(">IHHQ", 8, 0, 0, 77), format_=2)
    scene.ask(command(READY, 2))
    scene.element(DEREGISTERED)
    scene.element(SUSPEND)
    assert (scene.state, scene.adapter.calls[-1]) == (State.WAITING, "ready")


def test_a_client_is_suspended_when_its_datagram_is_answered(scene):
    scene.connect()
    scene.adapter.answers["send"] = [Hcall.DROPPED]
    scene.ask(struct.pack(">IHHQ", 8, 0, 0, 77), format_=2)
    scene.element(SUSPEND)
    scene.clock.advance(0.1)
    assert "ready" not in scene.adapter.calls
    scene.adapter.answers["send"] = [Hcall.SUCCESS]
    scene.clock.advance(1)
    assert scene.adapter.calls[-1] == "ready"


# ---- a full queue ---------------------------------------------------------------------------------------------------------


def test_answers_wait_for_room_and_keep_their_order(scene):
    scene.log_in()
    scene.adapter.answers["send"] = [Hcall.DROPPED]
    sent = len(scene.adapter.sent)
    for tag in range(10, 25):
        scene.ask(command(READY, tag), 0x1000 + tag * 256)
    assert scene.adapter.sent[sent:] == []
    scene.adapter.answers["send"] = [Hcall.SUCCESS]
    scene.clock.advance(1)
    assert [FIELDS.unpack(element)[-1] for element in scene.adapter.sent[sent:]] == list(range(10, 25))


def test_a_client_that_overruns_its_credits_loses_its_session(scene):
    scene.log_in()
    for tag in range(2, 60):
        scene.ask(command(HELD, tag), 0x1000 + tag * 256)
    assert scene.state is State.RESETTING
    scene.host.device(0).release()
    assert scene.works()


# ---- memory ---------------------------------------------------------------------------------------------------------------


def test_without_memory_for_a_login_a_client_waits_outside(make_scene):
    scene = make_scene()
    scene.memory.budget_bytes = 100
    scene.element(INIT)
    assert scene.ask(LOGIN) == []
    scene.clock.advance(0)
    assert scene.state is State.SHUT
    scene.memory.budget_bytes = 2 << 20
    scene.server.keep()
    assert scene.works()
    scene.check_quiet()


def test_without_memory_for_its_requests_a_login_is_rejected(make_scene):
    scene = make_scene()
    scene.memory.budget_bytes = 3000
    assert rejected(scene) == RejectReason.INSUFFICIENT_RESOURCES
    scene.memory.budget_bytes = 2 << 20
    assert scene.answer(LOGIN)[0] == Opcode.LOGIN_RSP
    scene.check_quiet()


# ---- hostile clients ------------------------------------------------------------------------------------------------------

HOSTILE = {
    "an unknown format": [bytes((0x80, 0x33)) + bytes(14)],
    "an unknown kind of element": [bytes((0x42, 1)) + bytes(14)],
    "an unknown event": [bytes((0xFF, 0x77)) + bytes(14)],
    "an information unit of no bytes": [FIELDS.pack(0x80, 1, 0, 0, 0, 0x1000)],
    "an information unit that is too long": [FIELDS.pack(0x80, 1, 0, 0, 257, 0x1000)],
    "an information unit nowhere": [FIELDS.pack(0x80, 1, 0, 0, 256, 1 << 60)],
    "an information unit across the end of memory": [FIELDS.pack(0x80, 1, 0, 0, 256, (1 << 20) - 100)],
    "nothing but zeros": [FIELDS.pack(0x80, 1, 0, 0, 256, 0x4000)] * 2,
    "a datagram of no bytes": [FIELDS.pack(0x80, 2, 0, 0, 0, 0x1000)],
    "a datagram nowhere": [FIELDS.pack(0x80, 2, 0, 0, 256, 1 << 60)],
}


@pytest.mark.parametrize("elements", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("logged_in", [False, True])
def test_who_breaks_the_protocol_loses_his_session_and_may_begin_again(scene, elements, logged_in):
    if logged_in:
        scene.log_in()
        scene.ask(command(HELD, 2), 0x3000)
    else:
        scene.connect()
    for element in elements:
        scene.element(element)
    scene.host.device(0).release()
    assert scene.works()


def test_a_second_datagram_before_the_answer_to_the_first(scene):
    scene.connect()
    scene.adapter.answers["send"] = [Hcall.DROPPED]
    datagram = struct.pack(">IHHQ", 8, 0, 0, 77)
    scene.ask(datagram, format_=2)
    assert scene.state is State.CONNECTED
    scene.ask(datagram, format_=2)
    assert scene.state is State.WAITING
    assert scene.works()


def test_an_answer_that_can_not_be_written(scene):
    scene.log_in()
    scene.adapter.answers["write"] = [Hcall.PERMISSION]
    assert scene.ask(command(READY, 2)) == [INIT]
    assert scene.works()


@pytest.mark.parametrize(("client", "pings"), [("linux", []), ("aix", [PING])])
def test_only_clients_that_know_pings_are_pinged(make_scene, client, pings):
    scene = make_scene(client=client)
    scene.log_in()
    before = len(scene.adapter.sent)
    scene.server.ping()
    assert scene.adapter.sent[before:] == pings
