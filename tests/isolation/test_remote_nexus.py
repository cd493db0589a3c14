"""A nexus whose logical units are at the other end of a ring."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from isolation.counterpart import COMMANDS_MAX, Command, Counterpart, command, counterpart, crowd, settled

from tgtcore.errors import Draining
from tgtcore.isolation.remote_nexus import RemoteNexus
from tgtcore.nexus import Tmf, TmfRequest, TmfResponse
from tgtcore.ring import OpenStatus, Request, Response, RingFunction, messages
from tgtcore.scsi.lun import encode_lun
from tgtcore.scsi.status import Status

COMMAND, TMF = Request.COMMAND, Request.TASK_MANAGEMENT
SILENT = (0, b"", False)
FIELD = int.from_bytes(encode_lun(5), "big")
FLAT = (0x4000 | 5) << 48
"""The same LUN in flat space addressing (SAM-5 4.7.7.3)."""
OTHER = int.from_bytes(encode_lun(6), "big")


@pytest_asyncio.fixture
async def core() -> AsyncIterator[Counterpart]:
    async with counterpart() as core:
        yield core


class Answers(list[TmfResponse]):
    """What functions were answered."""

    def ask(self, nexus: RemoteNexus, function: Tmf, lun: int = FIELD, tag: int = 0) -> "Answers":
        nexus.manage(TmfRequest(function, lun, tag), self.append)
        return self


# ---- commands ---------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_task_is_in_use_until_its_completion(core: Counterpart) -> None:
    nexus = core.nexus()
    task = command(nexus)
    (said,) = await core.heard(COMMAND)
    assert (nexus.tasks, len(nexus.leases), nexus.ids) == ({0: task}, 1, {0: said.id})
    with pytest.raises(AssertionError, match="the tag is in use"):
        nexus.submit(Command(nexus, 0, 0, 1, bytes(16), 0, 0))
    await core.complete(said)
    assert (nexus.tasks, len(nexus.leases), nexus.ids) == ({}, 0, {})
    assert task.ended == 1


@pytest.mark.asyncio
async def test_a_task_that_is_turned_away_is_not_told_to_the_core(core: Counterpart) -> None:
    nexus = core.nexus()
    task = Command(nexus, 0, 0, 1, bytes(16), 0, 0)
    nexus.turn_away(task)
    assert (task.result, nexus.tasks, len(nexus.leases)) == ((Status.TASK_SET_FULL, b"", True), {}, 0)
    await core.heard()


# ---- task management -----------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("function", list(Tmf))
async def test_every_function_is_the_cores_to_perform(core: Counterpart, function: Tmf) -> None:
    nexus = core.nexus()
    task = command(nexus, lun=FIELD)
    (said,) = await core.heard(COMMAND)
    answers = Answers().ask(nexus, function)
    (tmf,) = await core.heard(TMF)
    fields = tmf.fields
    assert (RingFunction(fields["function"]).name, fields["nexus"], fields["lun"]) == (function.name, 1, FIELD)
    assert fields["referenced"] == (said.id if function in (Tmf.ABORT_TASK, Tmf.QUERY_TASK) else 0)
    assert (answers, task.ended) == ([], 0)
    await core.complete(said, flags=messages.SILENT)
    core.say(Response.TASK_MANAGEMENT_DONE, id=tmf.id, response=TmfResponse.FUNCTION_REJECTED)
    await settled()
    assert (answers, task.ended) == ([TmfResponse.FUNCTION_REJECTED], 1)


@pytest.mark.asyncio
@pytest.mark.parametrize(("lun", "tag"), [(FIELD, 1), (OTHER, 0)])
async def test_a_task_that_is_not_there_has_no_id(core: Counterpart, lun: int, tag: int) -> None:
    nexus = core.nexus()
    command(nexus, lun=FIELD)
    await core.heard(COMMAND)
    answers = Answers().ask(nexus, Tmf.ABORT_TASK, lun, tag)
    (tmf,) = await core.heard(TMF)
    assert tmf.fields["referenced"] == 0
    core.say(Response.TASK_MANAGEMENT_DONE, id=tmf.id, response=TmfResponse.TASK_DOES_NOT_EXIST)
    await settled()
    assert answers == [TmfResponse.TASK_DOES_NOT_EXIST]


@pytest.mark.asyncio
@pytest.mark.parametrize("lun", [FIELD, FLAT])
async def test_a_task_that_waits_here_is_asked_about_and_aborted_here(core: Counterpart, lun: int) -> None:
    others = await crowd(core)
    nexus = core.nexus()
    first, second = command(nexus, lun=FIELD), command(nexus, lun=FIELD)
    answers = Answers()
    answers.ask(nexus, Tmf.QUERY_TASK, lun, second.tag)
    answers.ask(nexus, Tmf.ABORT_TASK, lun, first.tag)
    assert answers == [TmfResponse.FUNCTION_SUCCEEDED, TmfResponse.FUNCTION_COMPLETE]
    assert (first.result, second.ended) == (SILENT, 0)
    await core.heard()
    await core.complete(others[0])
    (said,) = await core.heard(COMMAND)
    assert nexus.ids == {second.tag: said.id}


@pytest.mark.asyncio
async def test_a_task_that_waits_for_another_lun_is_not_meant(core: Counterpart) -> None:
    await crowd(core)
    nexus = core.nexus()
    task = command(nexus, lun=FIELD)
    answers = Answers().ask(nexus, Tmf.ABORT_TASK, OTHER, task.tag)
    (tmf,) = await core.heard(TMF)
    assert (tmf.fields["referenced"], answers, task.ended) == (0, [], 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("function", "left"),
    [
        (Tmf.ABORT_TASK_SET, {OTHER, 0xFF << 56}),
        (Tmf.CLEAR_TASK_SET, {OTHER, 0xFF << 56}),
        (Tmf.LOGICAL_UNIT_RESET, {OTHER, 0xFF << 56}),
        (Tmf.I_T_NEXUS_RESET, set()),
        (Tmf.TARGET_RESET, set()),
        (Tmf.CLEAR_ACA, {FIELD, FLAT, OTHER, 0xFF << 56}),
        (Tmf.QUERY_ASYNCHRONOUS_EVENT, {FIELD, FLAT, OTHER, 0xFF << 56}),
    ],
)
async def test_tasks_that_wait_end_before_the_core_is_asked_to_abort_the_others(
    core: Counterpart, function: Tmf, left: set[int]
) -> None:
    """0xFF means no LUN at all."""
    await crowd(core)
    nexus, bystander = core.nexus(), core.nexus()
    tasks = [command(nexus, lun=lun) for lun in (FIELD, FLAT, OTHER, 0xFF << 56)]
    other = command(bystander, lun=FIELD)
    Answers().ask(nexus, function)
    assert {task.lun for task in tasks if not task.ended} == left
    assert all(task.result == SILENT for task in tasks if task.ended)
    assert not other.ended
    await core.heard(TMF)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("asked", "of_core", "answer"),
    [
        (FLAT, TmfResponse.FUNCTION_COMPLETE, TmfResponse.FUNCTION_SUCCEEDED),
        (OTHER, TmfResponse.FUNCTION_COMPLETE, TmfResponse.FUNCTION_COMPLETE),
        (FIELD, TmfResponse.FUNCTION_SUCCEEDED, TmfResponse.FUNCTION_SUCCEEDED),
        (FIELD, TmfResponse.INCORRECT_LOGICAL_UNIT_NUMBER, TmfResponse.INCORRECT_LOGICAL_UNIT_NUMBER),
    ],
)
async def test_a_task_set_has_tasks_also_when_they_only_wait_here(
    core: Counterpart, asked: int, of_core: TmfResponse, answer: TmfResponse
) -> None:
    await crowd(core)
    nexus = core.nexus()
    command(nexus, lun=FIELD)
    answers = Answers().ask(nexus, Tmf.QUERY_TASK_SET, asked)
    (tmf,) = await core.heard(TMF)
    core.say(Response.TASK_MANAGEMENT_DONE, id=tmf.id, response=of_core)
    await settled()
    assert answers == [answer]


@pytest.mark.asyncio
async def test_all_tasks_are_aborted_here_and_there(core: Counterpart) -> None:
    nexus = core.nexus()
    there = command(nexus, lun=OTHER)
    (said,) = await core.heard(COMMAND)
    for number in range(COMMANDS_MAX):
        command(core.nexus(), lun=1000 + number)
    here = command(nexus, lun=FIELD)
    core.said.clear()
    await settled()
    core.said.clear()
    ended: list[str] = []
    nexus.abort_tasks(lambda: ended.append("all"))
    assert (here.result, there.ended) == (SILENT, 0)
    (tmf,) = await core.heard(TMF)
    assert tmf.fields["function"] == RingFunction.NEXUS_TASKS
    core.say(Response.COMPLETION, id=said.id, flags=messages.SILENT)
    core.say(Response.TASK_MANAGEMENT_DONE, id=tmf.id)
    await settled()
    assert (there.result, ended, nexus.tasks) == (SILENT, ["all"], {})


# ---- its end ----------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_it_closes_once_and_everybody_who_has_closed_it_is_told(core: Counterpart) -> None:
    nexus = core.nexus()
    task = command(nexus)
    (said,) = await core.heard(COMMAND)
    told: list[int] = []
    nexus.close(lambda: told.append(1))
    nexus.close(lambda: told.append(2))
    (close,) = await core.heard(Request.NEXUS_CLOSE)
    assert (close.fields["nexus"], nexus.leases.draining, nexus.closed, told) == (nexus.number, True, False, [])
    core.say(Response.COMPLETION, id=said.id, flags=messages.SILENT)
    core.say(Response.NEXUS_CLOSED, id=close.id)
    await settled()
    assert (task.result, nexus.closed, told) == (SILENT, True, [1, 2])
    assert (core.target.nexuses, len(core.target.leases)) == ([], 0)
    nexus.close(lambda: told.append(3))
    assert told == [1, 2, 3]
    await core.heard()


@pytest.mark.asyncio
async def test_who_waits_when_it_closes_ends_at_once(core: Counterpart) -> None:
    await crowd(core)
    nexus = core.nexus()
    task = command(nexus)
    nexus.close(lambda: None)
    assert task.result == SILENT
    await core.heard(Request.NEXUS_CLOSE)


@pytest.mark.asyncio
@pytest.mark.parametrize("logged_out", [False, True])
async def test_the_core_hears_whether_the_initiator_has_logged_out(core: Counterpart, logged_out: bool) -> None:
    nexus = core.nexus()
    nexus.logged_out = logged_out
    nexus.close(lambda: None)
    (close,) = await core.heard(Request.NEXUS_CLOSE)
    assert close.fields["logged_out"] == logged_out


@pytest.mark.asyncio
async def test_a_nexus_may_go_on_when_its_target_takes_no_new_ones(core: Counterpart) -> None:
    nexus = core.nexus()
    core.target.leases.shut()
    with pytest.raises(Draining):
        core.nexus()
    command(nexus)
    await core.heard(COMMAND)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", list(OpenStatus))
async def test_one_that_opens_when_nobody_waits_for_it_any_more_is_closed(
    core: Counterpart, status: OpenStatus
) -> None:
    nexus = core.nexus()
    slot = memoryview(bytes([Response.NEXUS_OPENED, status, 0, 0]))
    nexus.opened_late(slot, 0)
    said = await core.heard(*[Request.NEXUS_CLOSE] * (status is OpenStatus.OPENED))
    assert [one.fields["nexus"] for one in said] == [nexus.number] * len(said)
    for one in said:
        core.say(Response.NEXUS_CLOSED, id=one.id)
    await settled()
    assert core.correspondent.end.unanswered == 0
