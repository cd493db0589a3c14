"""Commands share the data area: none waits for ever, and nobody waits for another initiator's without need."""

from collections.abc import Iterator

import pytest
from support.pipe import PipeSession, PipeTransport

from tgtcore import Host, Transport
from tgtcore.ring import Geometry
from tgtcore.scsi import asc
from tgtcore.scsi.sense import parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write
from tgtcore.testing.transport import TransportConformance
from tgtcore.testing.transport_rig import Rig

KIB = 1024
GEOMETRY = Geometry(depth=256, data_bytes=1536 * KIB, event_bytes=64 * KIB)
LARGE = 256 * KIB
"""Three of them fit, besides what is for small commands and for data-out that was asked for; of that, one into each half."""


class Pipe(TransportConformance):
    target = "a.pipe"
    behind_a_ring = True

    def make_transport(self, host: Host) -> Transport:
        return PipeTransport(host)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr("tgtcore.isolation.ring_driver.GEOMETRY", GEOMETRY)
    with Pipe().started() as rig:
        yield rig
        rig.end()


def log_in(rig: Rig) -> PipeSession:
    assert isinstance(rig.transport, PipeTransport)
    session: PipeSession = rig.call(rig.transport.log_in, Pipe.target)
    return session


def test_small_commands_go_on_when_another_initiators_large_ones_are_stuck(rig: Rig) -> None:
    stuck, other = log_in(rig), log_in(rig)
    running = [stuck.begin(HELD, room=LARGE) for _ in range(4)] + [other.begin(HELD, room=64 * KIB, lun=1)]
    rig.until(lambda: len(rig.host.device(0).held) == 2 and rig.host.device(1).held, "the share of a LUN being taken")
    answers = [rig.execute(other, read(4096), room=4096) for _ in range(100)]
    assert {answer.data for answer in answers} == {content(4096)}
    rig.host.device(0).release()
    rig.until(lambda: rig.host.device(0).held, "the turn of the others")
    rig.host.device(0).release()
    rig.host.device(1).release()
    rig.until(lambda: all(one.done() for one in running), "their end")
    assert [one.result().status for one in running] == [Status.GOOD] * 5


def test_commands_of_one_initiator_keep_their_order_when_they_wait(rig: Rig) -> None:
    session = log_in(rig)
    running = [session.begin(HELD, room=LARGE) for _ in range(4)]
    rig.until(lambda: len(rig.host.device(0).held) == 2, "the share of a LUN being taken")
    small = session.begin(READY)
    assert rig.execute(log_in(rig), READY).status == Status.GOOD
    assert not small.done(), "it has overtaken a command that waits"
    rig.host.device(0).release()
    rig.until(small.done, "its end")
    rig.until(lambda: rig.host.device(0).held, "the turn of the others")
    rig.host.device(0).release()
    rig.until(lambda: all(one.done() for one in running), "their end")


def test_a_lun_that_hangs_keeps_no_initiator_from_its_others(rig: Rig) -> None:
    session = log_in(rig)
    running = [session.begin(HELD, room=LARGE) for _ in range(4)]
    rig.until(lambda: len(rig.host.device(0).held) == 2, "the share of a LUN being taken")
    assert rig.execute(session, read(4096), room=4096, lun=1).data == content(4096)
    rig.host.device(0).release()
    rig.until(lambda: rig.host.device(0).held, "the turn of the others")
    rig.host.device(0).release()
    rig.until(lambda: all(one.done() for one in running), "their end")


def test_data_that_waits_for_a_place_gets_one(rig: Rig) -> None:
    sessions = [log_in(rig) for _ in range(4)]
    data = content(100_000)
    running = [session.begin(write(len(data)), data) for session in sessions for _ in range(10)]
    rig.until(lambda: all(one.done() for one in running), "the end of every write")
    assert {one.result().status for one in running} == {Status.GOOD}
    assert rig.host.device(0).written == data


def test_data_for_which_there_can_be_no_place_is_refused(rig: Rig) -> None:
    session = log_in(rig)
    answer = rig.execute(session, write(LARGE + 1), content(LARGE + 1))
    assert answer.status == Status.CHECK_CONDITION
    assert parse_sense(answer.sense).code == asc.INVALID_FIELD_IN_CDB
    assert rig.execute(session, write(LARGE), content(LARGE)).status == Status.GOOD
    assert rig.host.device(0).written == content(LARGE)


def test_data_that_the_command_does_not_want_needs_no_place(rig: Rig) -> None:
    session = log_in(rig)
    assert rig.execute(session, write(512), content(2 * LARGE)).status == Status.GOOD
    assert rig.host.device(0).written == content(512)


def test_more_data_in_than_there_is_room_for_is_refused(rig: Rig) -> None:
    session = log_in(rig)
    answer = rig.execute(session, read(LARGE + 1), room=LARGE + 1)
    assert answer.status == Status.CHECK_CONDITION
    assert rig.execute(session, read(LARGE), room=2 * LARGE).data == content(LARGE)


@pytest.mark.parametrize("sessions", [1, 3])
@pytest.mark.parametrize("length", [4096, 100_000, LARGE])
def test_writes_go_on_while_those_to_another_lun_are_stuck(rig: Rig, sessions: int, length: int) -> None:
    """However many there are of them, and however large: its store hangs."""
    hung = rig.host.device(0)
    hung.hangs = True
    hosts = [log_in(rig) for _ in range(sessions)]
    data = content(length)
    stuck = [host.begin(write(length), data) for host in hosts for _ in range(180 // sessions)]
    rig.until(lambda: hung.held, "the first of them being stuck")
    other = log_in(rig)
    for size in (4096, LARGE, 100_000):
        for _ in range(5):
            assert rig.execute(other, write(size), content(size), lun=1).status == Status.GOOD
            assert rig.host.device(1).written == content(size)
    assert not any(one.done() for one in stuck)

    def all_done() -> bool:
        hung.release()
        return all(one.done() for one in stuck)

    rig.until(all_done, "the end of every write")
    assert {one.result().status for one in stuck} == {Status.GOOD}


@pytest.mark.parametrize("sessions", [2, 5])
def test_commands_go_on_while_those_for_another_lun_are_stuck(rig: Rig, sessions: int) -> None:
    """However many there are; of those, as many as the ring has room for."""
    hung = rig.host.device(0)
    hosts = [log_in(rig) for _ in range(sessions)]
    stuck = [host.begin(HELD) for host in hosts for _ in range(300 // sessions)]
    rig.until(lambda: len(hung.held) == 96, "the share of a LUN being taken")
    other = log_in(rig)
    running = [other.begin(read(4096), room=4096, lun=1) for _ in range(50)]
    rig.until(lambda: all(one.done() for one in running), "the end of every read")
    assert {one.result().data for one in running} == {content(4096)}
    assert len(hung.held) == 96

    def all_done() -> bool:
        hung.release()
        return all(one.done() for one in stuck)

    rig.until(all_done, "the end of those that were stuck")
    assert {one.result().status for one in stuck} == {Status.GOOD}
    assert [rig.execute(host, READY).status for host in hosts] == [Status.GOOD] * sessions


def test_who_logs_out_while_passed_over_leaves_nothing(rig: Rig) -> None:
    hung = rig.host.device(0)
    first, second = log_in(rig), log_in(rig)
    for session in (first, second):
        for _ in range(150):
            session.begin(HELD)
    rig.until(lambda: len(hung.held) == 96, "the share of a LUN being taken")
    nexuses = list(rig.host.target.nexuses)
    for session in (second, first):
        session.vanish()
    rig.until(lambda: all(nexus.leases.draining for nexus in nexuses), "the loss of both")
    hung.release()
    rig.until(lambda: not rig.host.target.nexuses, "the end of both")
    assert rig.execute(log_in(rig), READY).status == Status.GOOD
