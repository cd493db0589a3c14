"""What a driver says over the ring, and what it makes of the answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from isolation.counterpart import (
    COMMANDS_MAX,
    GEOMETRY,
    KIB,
    LARGEST,
    Command,
    Counterpart,
    Said,
    command,
    counterpart,
    crowd,
    settled,
)

from tgtcore.errors import RingError
from tgtcore.ring import AckStatus, Event, Request, Response, RingFunction, messages
from tgtcore.scsi import asc
from tgtcore.scsi.sense import Sense, SenseKey, parse_sense
from tgtcore.scsi.status import Status

SILENT = (0, b"", False)
COMMAND, DATA, TMF = Request.COMMAND, Request.DATA, Request.TASK_MANAGEMENT


@pytest_asyncio.fixture
async def core() -> AsyncIterator[Counterpart]:
    async with counterpart() as core:
        yield core


def fill(core: Counterpart, said: Said, data: bytes) -> None:
    """Write data-in where it is wanted."""
    assert len(data) <= said.fields["data_in_room"]
    core.end.piece(said.fields["data_in_offset"], len(data))[:] = data


# ---- commands without data-out ------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_command_says_what_it_is_and_ends_as_the_core_says(core: Counterpart) -> None:
    nexus = core.nexus()
    task = command(nexus, lun=1 << 48, cdb=b"\x12" + bytes(5))
    (said,) = await core.heard(COMMAND)
    assert {"nexus": nexus.number, "lun": 1 << 48, "attribute": 1, "cdb_length": 6}.items() <= said.fields.items()
    assert said.fields["cdb"] == b"\x12".ljust(32, b"\0")
    sense = Sense(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB).fixed()
    assert not task.ended
    await core.complete(said, status=Status.CHECK_CONDITION, sense_length=len(sense), sense=sense, wanted_out=512)
    assert (task.result, task.sense, task.wanted_out) == ((Status.CHECK_CONDITION, b"", True), sense, 512)
    assert (nexus.tasks, len(nexus.leases)) == ({}, 0)


@pytest.mark.asyncio
async def test_a_long_cdb_is_in_the_data_area(core: Counterpart) -> None:
    cdb = bytes(range(256)) + b"last"
    command(core.nexus(), cdb=cdb, data=b"out", room=10)
    (said,) = await core.heard(COMMAND)
    fields = said.fields
    assert bytes(core.end.piece(fields["cdb_offset"], fields["cdb_length"])) == cdb
    assert bytes(core.end.piece(fields["data_out_offset"], fields["data_out_length"])) == b"out"
    assert fields["data_in_offset"] == fields["data_out_offset"] + 3
    assert fields["cdb_offset"] == fields["data_in_offset"] + 10


@pytest.mark.asyncio
@pytest.mark.parametrize("there_is", [0, 1, 4095, 4096, 5000])
async def test_data_in_comes_from_its_place_and_what_did_not_fit_is_only_counted(
    core: Counterpart, there_is: int
) -> None:
    task = command(core.nexus(), room=4096)
    (said,) = await core.heard(COMMAND)
    fill(core, said, b"x" * min(there_is, 4096))
    await core.complete(said, data_in_length=there_is)
    status, data, _ = task.result
    assert (status, len(data), data[:4096]) == (Status.GOOD, there_is, b"x" * min(there_is, 4096))


@pytest.mark.asyncio
async def test_more_data_in_than_a_place_can_have_fails_the_command_if_it_is_wanted(core: Counterpart) -> None:
    for expected, there_is, good in ((4 * LARGEST, LARGEST, True), (4 * LARGEST, LARGEST + 1, False)):
        task = command(core.nexus(), room=expected)
        (said,) = await core.heard(COMMAND)
        assert said.fields["data_in_room"] == LARGEST
        await core.complete(said, data_in_length=there_is)
        status, data, _ = task.result
        assert (status, len(data)) == ((Status.GOOD, there_is) if good else (Status.CHECK_CONDITION, 0))
    assert parse_sense(task.sense).code == asc.INVALID_FIELD_IN_CDB


@pytest.mark.asyncio
async def test_a_silent_completion_is_no_response_whatever_else_it_says(core: Counterpart) -> None:
    nexus = core.nexus()
    task = command(nexus, room=4096)
    (said,) = await core.heard(COMMAND)
    await core.complete(said, flags=messages.SILENT, status=2, data_in_length=4096)
    assert (task.result, list(nexus.tasks)) == (SILENT, [])


@pytest.mark.asyncio
async def test_places_are_given_back_by_whatever_end(core: Counterpart) -> None:
    nexus = core.nexus()
    for number in range(200):
        task = command(nexus, data=bytes(LARGEST // 4), room=LARGEST // 4)
        (said,) = await core.heard(COMMAND)
        flags = messages.SILENT if number % 2 else 0
        await core.complete(said, flags=flags)
        assert task.ended == 1


# ---- data-out ---------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_data_that_is_here_goes_with_its_command(core: Counterpart) -> None:
    task = command(core.nexus(), data=b"abcd", out=8)
    (said,) = await core.heard(COMMAND)
    fields = said.fields
    assert (fields["data_out_length"], fields["data_out_expected"]) == (4, 8)
    assert bytes(core.end.piece(fields["data_out_offset"], 4)) == b"abcd"
    await core.complete(said, wanted_out=4)
    assert (task.result, task.wants) == ((Status.GOOD, b"", True), 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("wanted", [8, 6, 1, 9, 2**32 - 1])
async def test_data_that_is_wanted_is_asked_for_and_never_more_than_there_is_going_to_be(
    core: Counterpart, wanted: int
) -> None:
    task = command(core.nexus(), data=b"ab", out=8)
    (said,) = await core.heard(COMMAND)
    core.say(Response.WANT_DATA, id=said.id, wanted_out=wanted)
    await settled()
    if wanted > 2:
        assert (task.wants, task.wanted_out) == (1, wanted)
        task.data_out = b"abcdefgh"
        task.data_arrived()
    else:
        assert task.wants == 0, "it is here already"
    (data,) = await core.heard(DATA)
    assert (data.id, data.payload) == (said.id, b"abcdefgh"[: min(wanted, 8)])
    await core.complete(said, wanted_out=wanted)
    assert task.result == (Status.GOOD, b"", True)


@pytest.mark.asyncio
async def test_a_command_that_has_brought_its_data_can_still_end_in_silence(core: Counterpart) -> None:
    nexus = core.nexus()
    task = command(nexus, out=8)
    (said,) = await core.heard(COMMAND)
    core.say(Response.WANT_DATA, id=said.id, wanted_out=8)
    await settled()
    task.data_out = bytes(8)
    task.data_arrived()
    await core.heard(DATA)
    await core.complete(said, flags=messages.SILENT)
    assert (task.result, nexus.tasks, len(nexus.leases)) == (SILENT, {}, 0)


@pytest.mark.asyncio
async def test_data_for_a_command_that_has_ended_meanwhile_is_not_brought(core: Counterpart) -> None:
    """It waited for a place."""
    nexus = core.nexus()
    held, waiting = (command(nexus, out=200 * KIB) for _ in range(2))
    first, second = await core.heard(COMMAND, COMMAND)
    for said, task in ((first, held), (second, waiting)):
        core.say(Response.WANT_DATA, id=said.id, wanted_out=200 * KIB)
        await settled()
        task.data_out = bytes(200 * KIB)
        task.data_arrived()
    (data,) = await core.heard(DATA)
    assert data.id == first.id
    await core.complete(second, flags=messages.SILENT)
    assert waiting.result == SILENT
    await core.complete(first)
    await core.heard()


@pytest.mark.asyncio
async def test_data_that_waits_for_a_place_goes_when_there_is_one(core: Counterpart) -> None:
    nexus = core.nexus()
    tasks = [command(nexus, out=200 * KIB) for _ in range(3)]
    said = await core.heard(COMMAND, COMMAND, COMMAND)
    for number, (one, task) in enumerate(zip(said, tasks, strict=True)):
        core.say(Response.WANT_DATA, id=one.id, wanted_out=200 * KIB)
        await settled()
        task.data_out = bytes([number]) * (200 * KIB)
        task.data_arrived()
    for number, one in enumerate(said):
        (data,) = await core.heard(DATA)
        assert (data.id, set(data.payload), len(data.payload)) == (one.id, {number}, 200 * KIB)
        await core.complete(one)
    assert [task.result for task in tasks] == [(Status.GOOD, b"", True)] * 3


@pytest.mark.asyncio
async def test_data_for_which_there_can_be_no_place_ends_its_command_after_the_core_has_let_it_go(
    core: Counterpart,
) -> None:
    nexus = core.nexus()
    task = command(nexus, lun=3, data=bytes(LARGEST + 1), out=LARGEST + 1)
    (said,) = await core.heard(COMMAND)
    assert said.fields["data_out_length"] == 0, "what can't be had at once is asked for"
    core.say(Response.WANT_DATA, id=said.id, wanted_out=LARGEST + 1)
    (tmf,) = await core.heard(TMF)
    assert {"function": RingFunction.ABORT_TASK, "lun": 3, "referenced": said.id}.items() <= tmf.fields.items()
    assert not task.ended
    core.say(Response.COMPLETION, id=said.id, flags=messages.SILENT)
    core.say(Response.TASK_MANAGEMENT_DONE, id=tmf.id)
    await settled()
    assert task.result == (Status.CHECK_CONDITION, b"", True)
    assert parse_sense(task.sense).code == asc.INVALID_FIELD_IN_CDB


# ---- no place ------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_commands_wait_for_a_place_on_the_ring_in_order(core: Counterpart) -> None:
    others = await crowd(core)
    nexus = core.nexus()
    tasks = [command(nexus, cdb=bytes([number] * 16)) for number in range(3)]
    await core.heard()
    assert [core.correspondent.waits(nexus, task) for task in tasks] == [True] * 3
    said = others[0]
    for number in range(3):
        await core.complete(said)
        (said,) = await core.heard(COMMAND)
        assert said.fields["cdb"][:16] == bytes([number] * 16)
        assert [core.correspondent.waits(nexus, task) for task in tasks] == [one > number for one in range(3)]


@pytest.mark.asyncio
async def test_a_lun_leaves_places_to_the_others(core: Counterpart) -> None:
    greedy, modest = core.nexus(), core.nexus()
    for _ in range(COMMANDS_MAX):
        command(greedy, lun=1)
    await core.heard(*[COMMAND] * (COMMANDS_MAX // 2))
    command(modest, lun=2)
    command(greedy, lun=3)
    one, two = await core.heard(COMMAND, COMMAND)
    assert (one.fields["lun"], two.fields["lun"]) == (2, 3)


@pytest.mark.asyncio
async def test_who_waits_for_a_full_lun_goes_when_others_have_left_places(core: Counterpart) -> None:
    """Its own LUN's commands may take as long as they like: one whose initiator brings no data, say."""
    slow, crowd, victim = core.nexus("slow"), core.nexus("crowd"), core.nexus("victim")
    command(slow, lun=1)
    for number in range(COMMANDS_MAX - 2):
        command(crowd, lun=1000 + number)
    _, *others = await core.heard(*[COMMAND] * (COMMANDS_MAX - 1))
    waiting = command(victim, lun=1)
    await core.heard()
    for one in others:
        await core.complete(one)
    assert not core.correspondent.waits(victim, waiting)
    (said,) = await core.heard(COMMAND)
    assert said.fields["nexus"] == victim.number


@pytest.mark.asyncio
async def test_of_luns_without_commands_nothing_is_kept(core: Counterpart) -> None:
    """A peer may name as many as there are numbers while places are scarce."""
    hung, many = core.nexus("hung"), core.nexus("many")
    for _ in range(COMMANDS_MAX // 2):
        command(hung, lun=1)
    await core.heard(*[COMMAND] * (COMMANDS_MAX // 2))
    for number in range(200):
        command(many, lun=number << 16 | 5)
        (said,) = await core.heard(COMMAND)
        await core.complete(said)
    assert core.correspondent._shares is not None
    assert len(core.correspondent._shares) == 1


@pytest.mark.asyncio
async def test_commands_wait_for_a_place_in_the_data_area_and_small_ones_have_their_own(core: Counterpart) -> None:
    stuck, other = core.nexus(), core.nexus()
    large = [command(stuck, lun=1, room=LARGEST) for _ in range(6)]
    await settled()
    said, before = list(core.said), len(core.said)
    core.said.clear()
    assert 0 < before < 6
    command(other, lun=2, room=4 * KIB)
    (small,) = await core.heard(COMMAND)
    await core.complete(small)
    while any(not task.ended for task in large):
        one = said.pop(0)
        await core.complete(one)
        said += core.said
        core.said.clear()
    assert [task.result for task in large] == [(Status.GOOD, b"", True)] * 6


@pytest.mark.asyncio
async def test_those_that_wait_are_withdrawn_and_those_that_the_core_has_are_not(core: Counterpart) -> None:
    others = await crowd(core)
    nexus = core.nexus()
    tasks = [command(nexus, lun=lun) for lun in (1, 2, 1)]
    core.correspondent.withdraw(nexus, lambda task: task.lun == 1)
    core.correspondent.withdraw(core.nexus(), lambda task: True)
    assert [task.ended for task in tasks] == [1, 0, 1]
    assert (tasks[0].result, core.correspondent.waits(nexus, tasks[0])) == (SILENT, False)
    await core.complete(others[0])
    (said,) = await core.heard(COMMAND)
    assert said.fields["lun"] == 2
    core.correspondent.withdraw(nexus, lambda task: True)
    assert not tasks[1].ended
    await core.complete(said)
    assert tasks[1].result == (Status.GOOD, b"", True)


@pytest.mark.asyncio
async def test_requests_go_when_commands_have_taken_all_their_places_and_wait_when_there_is_none_at_all(
    core: Counterpart,
) -> None:
    others = await crowd(core)
    nexus = core.nexus()
    waiting = command(nexus)
    answered: list[int] = []
    room = GEOMETRY.depth - 1 - COMMANDS_MAX
    for number in range(room + 2):
        core.correspondent.enquiries.request(
            messages.NEXUS_CLOSE,
            lambda slots, at, n=number: answered.append(n),
            Request.NEXUS_CLOSE,
            0,
            0,
            number,
            None,  # type: ignore[misc]
        )
    closes = await core.heard(*[Request.NEXUS_CLOSE] * room)
    assert [one.fields["nexus"] for one in closes] == list(range(room))
    await core.complete(others[0])
    (more,) = await core.heard(Request.NEXUS_CLOSE)
    assert more.fields["nexus"] == room
    core.say(Response.NEXUS_CLOSED, id=closes[1].id)
    core.say(Response.NEXUS_CLOSED, id=closes[0].id)
    (last,) = await core.heard(Request.NEXUS_CLOSE)
    assert (answered, last.fields["nexus"]) == ([1, 0], room + 1)
    assert core.correspondent.waits(nexus, waiting)
    for one in (*closes[2:], more, last):
        core.say(Response.NEXUS_CLOSED, id=one.id)
    (said,) = await core.heard(COMMAND)
    await core.complete(said)
    assert waiting.ended == 1


# ---- events ----------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_events_are_told_and_acknowledged(core: Counterpart) -> None:
    core.say(Event.SHOW, id=5, buffer=2, target=7)
    await settled()
    assert [messages.EVENT.unpack_from(one, 0)[4:7] for one in core.events] == [(5, 2, 7)]
    core.correspondent.acknowledge(5, 2, AckStatus.DONE, b"an answer")
    core.correspondent.acknowledge(6, 3, AckStatus.DONE, bytes(4096))
    core.correspondent.acknowledge(7, 1, AckStatus.DONE, bytes(4097))
    said = await core.heard(*[Request.ACKNOWLEDGE] * 3)
    assert [(one.id, one.fields["status"], one.fields["length"]) for one in said] == [
        (5, AckStatus.DONE, 9),
        (6, AckStatus.DONE, 4096),
        (7, AckStatus.FAILED, 22),
    ]
    assert bytes(core.memory.events[2 * 4096 : 2 * 4096 + 9]) == b"an answer"
    assert bytes(core.memory.events[4096 : 4096 + 22]) == b"the answer is too long"


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [max(Event) + 1, 255])
async def test_an_event_of_a_newer_core_is_unsupported(core: Counterpart, kind: int) -> None:
    messages.EVENT.pack_into(core.end.responses, core.end.slot(), kind, 0, 0, 0, 9, 1, 0, 0, 0)
    (said,) = await core.heard(Request.ACKNOWLEDGE)
    assert (said.id, said.fields["status"], said.fields["length"]) == (9, AckStatus.UNSUPPORTED, 0)


@pytest.mark.asyncio
async def test_an_answer_that_nobody_knows_is_reported_and_holds_up_nothing(core: Counterpart) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    task = command(core.nexus())
    (said,) = await core.heard(COMMAND)
    core.say(Response.COMPLETION, id=4711)
    messages.EVENT.pack_into(core.end.responses, core.end.slot(), 33, 0, 0, 0, 9, 1, 0, 0, 0)
    core.say(Response.COMPLETION, id=said.id)
    await settled()
    assert task.ended == 1
    assert [type(one) for one in reported] == [KeyError, RingError]


@pytest.mark.asyncio
async def test_a_task_whose_end_fails_holds_up_nothing(core: Counterpart) -> None:
    class Failing(Command):
        def done(self) -> None:
            super().done()
            raise ValueError("a defect of a transport")

    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    others = await crowd(core)
    nexus = core.nexus()
    failing = Failing(nexus, 0, 1000, 1, bytes(16), 0, 0)
    await core.complete(others.pop())
    nexus.submit(failing)
    (said,) = await core.heard(COMMAND)
    waiting = command(core.nexus())
    await core.complete(said)
    assert (failing.ended, [type(one) for one in reported]) == (1, [ValueError])
    (said,) = await core.heard(COMMAND)
    await core.complete(said)
    assert waiting.ended == 1
