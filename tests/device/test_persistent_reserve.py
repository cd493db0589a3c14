import errno
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tgtcore.device import SharedCommands
from tgtcore.logical_unit import Identity, LogicalUnit
from tgtcore.nexus import Tmf, TmfRequest, manage
from tgtcore.options import NoOptions
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.store import OpenStore
from tgtcore.task import PENDING, State, Task
from tgtcore.testing.initiator import Bench, Initiator, forget_attentions
from tgtcore.testing.ram import RamStore

REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, IGNORE, MOVE = range(8)
WRITE_EXCLUSIVE, EXCLUSIVE_ACCESS = 1, 3
MINE, THEIRS = 0x1111, 0x2222
APTPL = 0x01


def reserve_out(
    initiator: Initiator, action: int, key: int = 0, service_key: int = 0, *, kind: int = 0, flags: int = 0
) -> Any:
    data = key.to_bytes(8, "big") + service_key.to_bytes(8, "big") + bytes((0, 0, 0, 0, flags, 0, 0, 0))
    cdb = bytes((0x5F, action, kind, 0, 0)) + len(data).to_bytes(4, "big") + b"\0"
    return initiator.execute(cdb, data)


def reserve_in(initiator: Initiator, action: int) -> bytes:
    return initiator.execute(bytes((0x5E, action, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0))).data


def keys(initiator: Initiator) -> list[int]:
    data = reserve_in(initiator, 0)
    return [int.from_bytes(data[at : at + 8], "big") for at in range(8, len(data), 8)]


def test_registration_reservation_and_release(initiator: Initiator, other: Initiator) -> None:
    assert reserve_out(initiator, REGISTER, 0, MINE).status is Status.GOOD
    assert keys(other) == [MINE]
    assert reserve_out(initiator, RESERVE, MINE, kind=EXCLUSIVE_ACCESS).status is Status.GOOD
    assert reserve_in(other, 1)[8:16] == MINE.to_bytes(8, "big")
    assert other.execute("1a 00 3f 00 ff").status is Status.RESERVATION_CONFLICT
    assert other.execute("00").status is Status.GOOD
    assert initiator.execute("1a 00 3f 00 ff").status is Status.GOOD
    assert reserve_out(initiator, RELEASE, MINE, kind=EXCLUSIVE_ACCESS).status is Status.GOOD
    assert other.execute("1a 00 3f 00 ff").status is Status.GOOD


def test_a_registration_belongs_to_the_port_not_to_the_session(made: Bench, initiator: Initiator) -> None:
    reserve_out(initiator, REGISTER, 0, MINE)
    reserve_out(initiator, RESERVE, MINE, kind=WRITE_EXCLUSIVE)
    initiator.logout()
    again = made.initiator()
    assert again.execute("15 10 00 00 04", bytes(4)).status is Status.GOOD
    assert reserve_out(again, RELEASE, MINE, kind=WRITE_EXCLUSIVE).status is Status.GOOD


def test_clear_is_told_to_the_other_registrants(initiator: Initiator, other: Initiator) -> None:
    reserve_out(initiator, REGISTER, 0, MINE)
    reserve_out(other, REGISTER, 0, THEIRS)
    assert reserve_out(initiator, CLEAR, MINE).status is Status.GOOD
    assert other.execute("00").code == (SenseKey.UNIT_ATTENTION, *asc.RESERVATIONS_PREEMPTED)


def test_a_registrant_that_has_logged_in_again_is_told_at_its_first_command(
    made: Bench, initiator: Initiator, other: Initiator
) -> None:
    reserve_out(initiator, REGISTER, 0, MINE)
    reserve_out(other, REGISTER, 0, THEIRS)
    other.logout()
    again = made.initiator("iqn.2025-01.example:other", port=1, attentions=True)
    reserve_out(initiator, CLEAR, MINE)
    assert [again.execute("00").code[1:] for _ in range(3)] == [
        asc.POWER_ON_OR_RESET_OCCURRED,
        asc.RESERVATIONS_PREEMPTED,
        (0, 0),
    ]


def test_a_wrong_key_is_a_conflict(initiator: Initiator) -> None:
    reserve_out(initiator, REGISTER, 0, MINE)
    assert reserve_out(initiator, RESERVE, THEIRS, kind=1).status is Status.RESERVATION_CONFLICT


@pytest.mark.parametrize("length", range(24))
def test_truncated_at_every_byte(initiator: Initiator, length: int) -> None:
    cdb = bytes((0x5F, REGISTER, 0, 0, 0)) + length.to_bytes(4, "big") + b"\0"
    result = initiator.execute(cdb, bytes(length))
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.PARAMETER_LIST_LENGTH_ERROR)


def test_huge_parameter_list_length(initiator: Initiator) -> None:
    result = initiator.execute("5f 00 00 00 00 ffffffff 00", bytes(24))
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.PARAMETER_LIST_LENGTH_ERROR)


def test_less_data_than_announced(initiator: Initiator) -> None:
    result = initiator.execute("5f 00 00 00 00 00000018 00", bytes(20))
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.PARAMETER_LIST_LENGTH_ERROR)


def test_nothing_outlives_the_power_without_a_place(initiator: Initiator) -> None:
    assert reserve_in(initiator, 2)[2] & 0x01 == 0
    result = reserve_out(initiator, REGISTER, 0, MINE, flags=APTPL)
    assert result.code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_PARAMETER_LIST)
    assert keys(initiator) == []


class Slow(SharedCommands):
    """A device whose commands go on until the test ends them."""

    code = 0x03

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.running: list[Task] = []

    def test_unit_ready(self, task: Task) -> Any:
        self.running.append(task)
        return PENDING


def test_preempt_and_abort_answers_after_the_last_aborted_task_has_ended(made: Bench) -> None:
    lu = made.add(Slow, RamStore())
    device = lu.device
    assert isinstance(device, Slow)
    initiator, other = made.initiator(), made.initiator("iqn.2025-01.example:other")
    for who, key in ((initiator, MINE), (other, THEIRS)):
        cdb = bytes((0x5F, REGISTER, 0, 0, 0)) + (24).to_bytes(4, "big") + b"\0"
        who.execute(cdb, bytes(8) + key.to_bytes(8, "big") + bytes(8), lun=1)
    victim = other.start("00", lun=1)
    own = initiator.start("00", lun=1)
    cdb = bytes((0x5F, PREEMPT_AND_ABORT, WRITE_EXCLUSIVE, 0, 0)) + (24).to_bytes(4, "big") + b"\0"
    preempting = initiator.start(cdb, MINE.to_bytes(8, "big") + THEIRS.to_bytes(8, "big") + bytes(8), lun=1)
    assert preempting.state is State.RUNNING
    device.running[0].finish(Status.GOOD, b"")
    assert other.finish(victim).status is Status.TASK_ABORTED
    assert preempting.result is not None
    assert preempting.result.status is Status.GOOD
    assert own.state is State.RUNNING
    device.running[1].finish(Status.GOOD, b"")
    assert own.result is not None


class Memory:
    """A saved state that can be told to fail."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.broken = False

    def load(self) -> dict[str, Any]:
        return self.state

    def save(self, state: dict[str, Any]) -> None:
        if self.broken:
            raise OSError(errno.ENOSPC, "no space left")
        self.state = state


class Plain(SharedCommands):
    code = 0x03


@pytest.fixture
def place() -> Memory:
    return Memory()


def add(made: Bench, place: Memory, lun: int) -> LogicalUnit:
    store = OpenStore(f"store{lun}", RamStore(), made.workers)
    lu = LogicalUnit(Identity.make("kept", bytes(16)), Plain, store, NoOptions(), saved_state=place)
    made.lus.append(lu)
    made.target.map(lun, lu)
    return lu


def on(initiator: Initiator, lun: int, action: int, key: int, service_key: int, **fields: int) -> Any:
    data = (
        key.to_bytes(8, "big") + service_key.to_bytes(8, "big") + bytes((0, 0, 0, 0, fields.get("flags", 0), 0, 0, 0))
    )
    cdb = bytes((0x5F, action, fields.get("kind", 0), 0, 0)) + (24).to_bytes(4, "big") + b"\0"
    return initiator.start(cdb, data, lun=lun)


def test_registrations_outlive_the_power(made: Bench, place: Memory) -> None:
    add(made, place, 1)
    initiator = made.initiator()
    first = on(initiator, 1, REGISTER, 0, MINE, flags=APTPL)
    second = on(initiator, 1, RESERVE, MINE, 0, kind=EXCLUSIVE_ACCESS)  # waits until the first is durable
    assert second.state is State.RUNNING
    assert initiator.finish(first).status is Status.GOOD
    assert initiator.finish(second).status is Status.GOOD
    reborn = add(made, place, 2)
    assert reborn.reservations.active
    other = made.initiator("iqn.2025-01.example:other")
    assert other.execute("1a 00 3f 00 ff", lun=2).status is Status.RESERVATION_CONFLICT
    initiator.nexus.attention(asc.REPORTED_LUNS_DATA_HAS_CHANGED)
    forget_attentions(initiator.nexus)
    assert initiator.execute("1a 00 3f 00 ff", lun=2).status is Status.GOOD


def test_what_cannot_be_saved_does_not_happen(made: Bench, place: Memory) -> None:
    lu = add(made, place, 1)
    initiator = made.initiator()
    place.broken = True
    result = initiator.finish(on(initiator, 1, REGISTER, 0, MINE, flags=APTPL))
    assert result.status is Status.CHECK_CONDITION
    assert not lu.reservations.state.registrations
    place.broken = False
    assert initiator.finish(on(initiator, 1, REGISTER, 0, MINE, flags=APTPL)).status is Status.GOOD


def test_those_that_wait_go_on_whatever_defect_ends_those_before_them(
    made: Bench, place: Memory, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    add(made, place, 1)
    initiator = made.initiator()
    tasks = [on(initiator, 1, REGISTER, 0, MINE, flags=APTPL)]
    tasks += [on(initiator, 1, RESERVE, MINE, 0, kind=EXCLUSIVE_ACCESS) for _ in range(2)]
    for task in tasks[:2]:
        mocker.patch.object(task, "done", side_effect=ZeroDivisionError)
    assert initiator.finish(tasks[2]).status is Status.GOOD
    assert [task.state for task in tasks] == [State.ENDED] * 3
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2


def test_an_aborted_command_that_waits_does_nothing(made: Bench, place: Memory) -> None:
    lu = add(made, place, 1)
    initiator = made.initiator()
    first = on(initiator, 1, REGISTER, 0, MINE, flags=APTPL)
    second = on(initiator, 1, RESERVE, MINE, 0, kind=EXCLUSIVE_ACCESS)
    answers: list[Any] = []
    manage(initiator.nexus, TmfRequest(Tmf.ABORT_TASK, second.lun, second.tag), answers.append)
    assert initiator.finish(first).status is Status.GOOD
    made.run_until(lambda: bool(answers), "ABORT TASK")
    assert second.result is None
    assert not lu.reservations.active
