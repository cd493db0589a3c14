"""Task management over the wire (RFC 7143 11.5, 11.6)."""

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.limits import FUNCTIONS_LOGGED_MAX, TASK_MANAGEMENT_MAX
from tgtcore_iscsi.pdu.codes import Opcode, Tmf, TmfResponse

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

WRITE = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 8, 0))


def ask(client: "Client", function: int, **more: Any) -> int:
    itt = next(client.tags) + 10_000
    fields = {"lun": 0, "cmd_sn": client.cmd_sn, "exp_stat_sn": client.exp_stat_sn, **more}
    client.send(pdu.task_management_request(function, itt=itt, **fields))
    return itt


async def answered(client: "Client", itt: int | None = None) -> TmfResponse:
    """The next thing that comes, a response to a function: to that one, if one is named."""
    response = await client.receive()
    assert response.opcode is Opcode.TASK_MANAGEMENT_RESPONSE
    assert itt in (None, response.fields.itt)
    return TmfResponse(response.fields.response)


async def answer(client: "Client", function: int, **more: Any) -> TmfResponse:
    """What a function is answered."""
    return await answered(client, ask(client, function, **more))


@pytest_asyncio.fixture
async def session(rig: "Rig", client: "Client") -> "Client":
    await client.login()
    await client.ready()
    return client


async def waiting_write(client: "Client") -> tuple[int, int]:
    """Task tag and CmdSN of a write that waits for data."""
    cmd_sn = client.cmd_sn
    itt = client.command(WRITE, out=4096)
    assert (await client.receive()).opcode is Opcode.R2T
    return itt, cmd_sn


@pytest.mark.parametrize(
    ("function", "response"),
    [
        (Tmf.ABORT_TASK_SET, TmfResponse.FUNCTION_COMPLETE),
        (Tmf.CLEAR_TASK_SET, TmfResponse.FUNCTION_COMPLETE),
        (Tmf.LOGICAL_UNIT_RESET, TmfResponse.FUNCTION_COMPLETE),
        (Tmf.TARGET_WARM_RESET, TmfResponse.FUNCTION_COMPLETE),
        (Tmf.CLEAR_ACA, TmfResponse.FUNCTION_NOT_SUPPORTED),
        (Tmf.TASK_REASSIGN, TmfResponse.TASK_ALLEGIANCE_REASSIGNMENT_NOT_SUPPORTED),
        (0, TmfResponse.FUNCTION_NOT_SUPPORTED),
        (9, TmfResponse.FUNCTION_NOT_SUPPORTED),
        (0x7F, TmfResponse.FUNCTION_NOT_SUPPORTED),
    ],
)
@pytest.mark.parametrize("immediate", [True, False])
async def test_functions(session: "Client", function: int, response: TmfResponse, immediate: bool) -> None:
    assert await answer(session, function, immediate=immediate) is response


@pytest.mark.parametrize("function", [Tmf.ABORT_TASK, Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET, Tmf.LOGICAL_UNIT_RESET])
async def test_a_lun_that_does_not_exist(session: "Client", function: Tmf) -> None:
    assert await answer(session, function, lun=5 << 48) is TmfResponse.LUN_DOES_NOT_EXIST


async def test_abort_task(rig: "Rig", session: "Client") -> None:
    itt, cmd_sn = await waiting_write(session)
    found = await answer(session, Tmf.ABORT_TASK, referenced_task_tag=itt, ref_cmd_sn=cmd_sn)
    assert found is TmfResponse.FUNCTION_COMPLETE
    assert not rig.lu.tasks()
    again = await answer(session, Tmf.ABORT_TASK, referenced_task_tag=itt, ref_cmd_sn=cmd_sn)
    assert again is TmfResponse.TASK_DOES_NOT_EXIST


async def test_abort_task_on_the_wrong_lun(rig: "Rig", session: "Client") -> None:
    itt, cmd_sn = await waiting_write(session)
    await answer(session, Tmf.ABORT_TASK, lun=5 << 48, referenced_task_tag=itt, ref_cmd_sn=cmd_sn)
    assert len(rig.lu.tasks()) == 1


async def test_abort_of_a_task_that_never_came(rig: "Rig", session: "Client") -> None:
    missing = session.cmd_sn
    session.cmd_sn += 1
    found = await answer(session, Tmf.ABORT_TASK, referenced_task_tag=999, ref_cmd_sn=missing)
    assert found is TmfResponse.FUNCTION_COMPLETE
    accepted = rig.lu.accepted
    session.command(bytes(6), cmd_sn=missing)
    assert (await session.execute(bytes(6)))[0] == 0
    assert rig.lu.accepted == accepted + 1


async def test_abort_of_a_task_that_came_too_early(rig: "Rig", session: "Client") -> None:
    missing = session.cmd_sn
    early = session.command(WRITE, out=b"\xff" * 4096, immediate=4096, cmd_sn=missing + 1)
    session.cmd_sn += 2
    found = await answer(session, Tmf.ABORT_TASK, referenced_task_tag=early, ref_cmd_sn=missing + 1)
    assert found is TmfResponse.FUNCTION_COMPLETE
    late = session.command(bytes(6), cmd_sn=missing)
    assert (await session.receive()).fields.itt == late
    assert (await session.execute(bytes(6)))[0] == 0
    assert not any(rig.ram.content[:4096])


@pytest.mark.parametrize("ref_cmd_sn", [0, 1 << 20, 0xFFFFFFFF])
async def test_abort_of_a_task_that_can_not_come(session: "Client", ref_cmd_sn: int) -> None:
    found = await answer(session, Tmf.ABORT_TASK, referenced_task_tag=999, ref_cmd_sn=ref_cmd_sn)
    assert found is TmfResponse.TASK_DOES_NOT_EXIST


async def test_cold_reset_ends_every_session(rig: "Rig", session: "Client") -> None:
    other = await type(session).connect(rig)
    await other.login(isid=b"\x40\0\0\2\0\2")
    assert await answer(session, Tmf.TARGET_COLD_RESET) is TmfResponse.FUNCTION_COMPLETE
    assert await session.ended() == b""
    assert await other.ended() == b""
    other.close()


async def test_who_sends_one_after_the_other_fills_no_log(session: "Client", caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="tgtcore_iscsi.task_management"):
        for _ in range(FUNCTIONS_LOGGED_MAX + 1):
            assert await answer(session, Tmf.LOGICAL_UNIT_RESET) is TmfResponse.FUNCTION_COMPLETE
    logged = [record.getMessage() for record in caplog.records if record.name == "tgtcore_iscsi.task_management"]
    assert len(logged) == FUNCTIONS_LOGGED_MAX
    assert logged[-1].endswith(": LOGICAL_UNIT_RESET; more of this is not logged")


async def test_functions_that_wait_for_a_worker_are_rationed(
    rig: "Rig", session: "Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    write = rig.ram.write

    def held(offset: int, data: Any) -> None:
        assert let_go.wait(10)
        write(offset, data)

    monkeypatch.setattr(rig.ram, "write", held)
    session.command(WRITE, out=bytes(4096), immediate=4096)
    for _ in range(TASK_MANAGEMENT_MAX + 5):
        ask(session, Tmf.ABORT_TASK_SET)
    assert [await answered(session) for _ in range(5)] == [TmfResponse.FUNCTION_REJECTED] * 5
    # the driver refuses; behind a ring the first function may still be on its way to the write
    await rig.until(lambda: [task for task in rig.lu.tasks() if task.abort_status is not None])
    let_go.set()
    async with asyncio.timeout(10):
        done = [await answered(session) for _ in range(TASK_MANAGEMENT_MAX)]
    assert set(done) == {TmfResponse.FUNCTION_COMPLETE}
    assert await answer(session, Tmf.ABORT_TASK_SET) is TmfResponse.FUNCTION_COMPLETE
