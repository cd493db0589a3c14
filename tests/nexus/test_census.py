"""A crowd of sessions takes a bounded amount of memory, and nobody loses what it has."""

from collections.abc import Iterator

import pytest

from tgtcore.device import SharedCommands
from tgtcore.nexus import Census, Tmf, TmfRequest, TmfResponse, manage
from tgtcore.scsi import asc
from tgtcore.scsi.lun import encode_lun
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator, bench

READY = "00"


class Box(SharedCommands):
    code = 0x0C
    needs_store = False


@pytest.fixture
def made() -> Iterator[Bench]:
    """Two LUNs, and room for one I_T_L nexus."""
    with bench(threads=1) as made:
        made.census = Census(most=1)
        made.add(Box)
        made.add(Box)
        yield made


def ready(initiator: Initiator, lun: int) -> Status:
    return Status(initiator.execute(READY, lun=lun).status)


def test_beyond_the_limit_commands_are_answered_busy(made: Bench, caplog: pytest.LogCaptureFixture) -> None:
    first, second = made.initiator(attentions=True), made.initiator("iqn.2025-01.example:other", attentions=True)
    assert [ready(first, 0), ready(first, 0)] == [Status.CHECK_CONDITION, Status.GOOD]
    assert [ready(first, 1), ready(second, 0), ready(second, 1)] == [Status.BUSY] * 3
    assert ready(first, 0) == Status.GOOD
    assert caplog.messages == ["initiators use 1 LUNs together; commands for further ones are answered BUSY"]
    assert [len(lu.itls) for lu in made.lus] == [1, 0]


def test_a_lun_without_a_logical_unit_takes_no_room(made: Bench) -> None:
    initiator = made.initiator(attentions=True)
    ready(initiator, 0)
    assert ready(initiator, 7) == Status.CHECK_CONDITION


def test_task_management_is_rejected_beyond_the_limit(made: Bench) -> None:
    initiator = made.initiator(attentions=True)
    ready(initiator, 0)
    answers: list[TmfResponse] = []
    for lun in (0, 1):
        field = int.from_bytes(encode_lun(lun), "big")
        manage(initiator.nexus, TmfRequest(Tmf.LOGICAL_UNIT_RESET, field, 0), answers.append)
    assert answers == [TmfResponse.FUNCTION_COMPLETE, TmfResponse.FUNCTION_REJECTED]


def test_who_leaves_makes_room(made: Bench) -> None:
    first, second = made.initiator(attentions=True), made.initiator("iqn.2025-01.example:other", attentions=True)
    ready(first, 0)
    assert ready(second, 0) == Status.BUSY
    first.logout()
    assert made.census.count == 0
    assert second.execute(READY).code[1:] == asc.POWER_ON_OR_RESET_OCCURRED


def test_a_lun_that_is_taken_away_makes_room(made: Bench) -> None:
    initiator = made.initiator(attentions=True)
    ready(initiator, 0)
    made.target.unmap(0, lambda: None)
    assert made.census.count == 0
    assert initiator.execute(READY, lun=1).code[1:] == asc.POWER_ON_OR_RESET_OCCURRED


def test_what_the_core_has_to_remember_is_never_refused(made: Bench) -> None:
    initiator = made.initiator(attentions=True)
    assert [initiator.nexus.itl(lun) is not None for lun in (0, 1)] == [True, True]
    assert made.census.count == 2
