"""SRP on a ring: sessions, data, task management, and what breaks a connection."""

import asyncio
import errno

import pytest
from tgtcore_srp.iu.login import LoginReject, LoginRequest
from tgtcore_srp.iu.opcodes import RejectReason, TaskManagementFunction
from tgtcore_xen.srp.layout import IU_BYTES_MAX, REQUEST_LIMIT, build_slot, parse_slot, pieces_of
from tgtcore_xen.vscsiif.errors import Malformed

from tgtcore import Tmf, TmfRequest, manage
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, REFUSED, content, read, write

pytestmark = pytest.mark.asyncio


async def test_login(scene):
    answer = await scene.log_in()
    assert (answer.delta, answer.it_iu_bytes, answer.ti_iu_bytes) == (REQUEST_LIMIT, IU_BYTES_MAX, IU_BYTES_MAX)
    assert (await scene.execute(READY)).response.status == Status.GOOD


async def test_a_second_login_is_rejected(logged_in):
    answer = logged_in.loop.create_future()
    logged_in.ring.initiator.login(LoginRequest(9, 64, 6, bytes(16), bytes(16)), answer.set_result)
    async with asyncio.timeout(5):
        found = await answer
    assert isinstance(found, LoginReject)
    assert found.reason == RejectReason.CHANNEL_LIMIT_REACHED


@pytest.mark.parametrize("offset", [0, 1, 4095])
@pytest.mark.parametrize("length", [1, 512, 4096, 40_000, 300_001, 1 << 20])
async def test_data_both_ways(logged_in, length, offset):
    length = min(length, (1 << 20) - offset)
    answer = await logged_in.execute(write(length), data_out=content(length), offset=offset)
    assert (answer.response.status, answer.data) == (Status.GOOD, b"")
    assert logged_in.host.device(0).written == content(length)
    answer = await logged_in.execute(read(length), lun=1, room=length, offset=offset)
    assert (answer.response.status, answer.data) == (Status.GOOD, content(length))


async def test_many_commands_at_once_are_copied_with_few_calls(logged_in):
    begun = [logged_in.ring.command(0, read(512), room=512) for _ in range(REQUEST_LIMIT - 1)]
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*(one.done for one in begun))
    assert {one.data for one in ended} == {content(512)}
    figures = logged_in.connection.figures
    assert (figures.copy_calls, figures.copied_segments) == (1, REQUEST_LIMIT - 1)
    assert figures.notifications <= 3


async def test_sense_data_and_residuals(logged_in):
    answer = await logged_in.execute(REFUSED)
    sense = parse_sense(answer.response.sense)
    assert (sense.key, sense.code) == (SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB)
    answer = await logged_in.execute(read(512), room=4096)
    assert (answer.response.in_residual, answer.data[:512]) == (3584, content(512))
    answer = await logged_in.execute(READY, lun=7)
    assert parse_sense(answer.response.sense).code == asc.LOGICAL_UNIT_NOT_SUPPORTED


async def test_abort_and_reset(logged_in):
    ring = logged_in.ring
    held = ring.command(0, HELD)
    other = ring.command(1, HELD)
    await logged_in.settle()
    aborted = ring.manage(TaskManagementFunction.ABORT_TASK, 0, held.tag)
    await logged_in.settle()
    logged_in.host.device(0).release()
    assert await asyncio.wait_for(aborted, 5)
    reset = ring.manage(TaskManagementFunction.LOGICAL_UNIT_RESET, 1)
    await logged_in.settle()
    logged_in.host.device(1).release()
    assert await asyncio.wait_for(reset, 5)
    await logged_in.settle()
    assert ring.silent == 2, "slots of commands that get no answer come back"
    for begun in (held, other):
        with pytest.raises(ConnectionAbortedError, match="without an answer"):
            await begun.done


async def test_slots_come_back_from_commands_that_others_abort(logged_in):
    """Time and again: the ring never gets full of them."""
    for _ in range(40):
        logged_in.ring.command(0, HELD)
        await logged_in.settle()
        task = next(iter(logged_in.nexus.tasks.values()))
        manage(logged_in.nexus, TmfRequest(Tmf.ABORT_TASK, task.lun, task.tag), lambda _: None)
        logged_in.host.device(0).release()
        await logged_in.settle()
        assert (await logged_in.execute(READY)).response.status == Status.GOOD
    assert logged_in.ring.silent == 40
    assert logged_in.connection.in_flight == 0


@pytest.mark.parametrize("spoil", ["reference", "offset", "read only"])
async def test_data_that_can_not_be_moved(logged_in, spoil):
    """The command fails, and the session goes on."""
    guest = logged_in.guest
    begun = logged_in.ring.command(0, read(512), room=512)
    entry = guest._table.entries[begun.memory.segments[0][0]]
    if spoil == "read only":
        entry.read_only = True
    elif spoil == "reference":
        entry.to = 77
    else:
        view = logged_in.ring._page.view
        at = bytes(view).rindex(begun.memory.segments[0][0].to_bytes(4, "big"))
        view[at - 2 : at] = (4000).to_bytes(2, "big")
    async with asyncio.timeout(5):
        answer = await begun.done
    assert parse_sense(answer.response.sense).code == asc.DATA_PHASE_ERROR
    assert (await logged_in.execute(READY)).response.status == Status.GOOD


async def test_logout(logged_in):
    """It ends the session, and breaks nothing; what was not answered never is."""
    held = logged_in.ring.command(0, HELD)
    await logged_in.settle()
    logged_in.ring.initiator.logout()
    await logged_in.settle()
    logged_in.host.device(0).release()
    await logged_in.settle()
    assert logged_in.nexus.closed
    assert logged_in.broken == []
    assert isinstance(held.done.exception(), ConnectionError)
    assert logged_in.ring.silent == 1
    logged_in.ring._send(bytes(16))
    await logged_in.settle()
    assert logged_in.ring.silent == 3, "and whoever goes on gets no answer"


@pytest.mark.parametrize(
    ("slot", "why"),
    [
        (build_slot(b"\x02".ljust(48, b"\0")), "opcode 0x02 while not logged in"),
        (build_slot(b"\x77".ljust(16, b"\0")), "opcode 0x77"),
        (build_slot(b""), "information unit of 0 bytes"),
        (b"\xf9\0" + bytes(250), "length of an information unit"),
    ],
)
async def test_what_is_no_information_unit_here(scene, slot, why):
    scene.ring._ring.put(slot)
    scene.ring.submit()
    await scene.settle()
    assert len(scene.broken) == 1
    assert why in scene.broken[0]


async def test_more_requests_than_were_granted(logged_in):
    logged_in.ring.initiator.heeds_credits = False
    for _ in range(REQUEST_LIMIT + 1):
        logged_in.ring.command(0, HELD)
    await logged_in.settle()
    assert logged_in.broken == ["its SRP session was ended: the initiator has sent more requests than its limit allows"]


async def test_a_connection_that_is_closed_with_commands_under_way(logged_in):
    begun = [logged_in.ring.command(lun, HELD) for lun in (0, 1)]
    writing = logged_in.ring.command(0, write(4096), data_out=bytes(4096))
    await logged_in.settle()
    assert logged_in.connection.in_flight >= 2
    logged_in.connection.close(lambda: None)
    await logged_in.settle()
    assert not any(one.done.done() for one in begun)
    assert writing.done.done()


async def test_no_memory_for_a_login(make_scene):
    scene = make_scene(100)
    with pytest.raises(OSError, match="no memory for a login") as info:
        scene.connect()
    assert info.value.errno == errno.ENOMEM
    assert scene.machine.in_use()[:2] == (0, 0)
    scene.nexus.close(lambda: None)


async def test_slots():
    assert bytes(parse_slot(build_slot(b"unit"))) == b"unit"
    assert len(build_slot(b"")) == 252
    with pytest.raises(Malformed, match="249"):
        parse_slot(b"\xf9\0" + bytes(250))


@pytest.mark.parametrize(
    ("segments", "length", "pieces"),
    [
        ([(0, 9, 4096)], 4096, [(9, 0, 4096)]),
        ([(0, 9, 4096), (4, 8, 100)], 4097, [(9, 0, 4096), (8, 4, 1)]),
        ([(1, 9, 4096)], 4095, [(9, 1, 4095)]),
        ([(1, 9, 4096)], 4096, None),
        ([(1 << 63, 9, 1)], 1, None),
        ([(0, 9, 10)], 11, None),
        ([], 0, []),
    ],
)
async def test_pieces(segments, length, pieces):
    assert pieces_of(segments, length) == pieces
