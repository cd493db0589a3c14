"""What a nexus is told of its logical units."""

from collections.abc import Iterator

import pytest

from tgtcore.device import SharedCommands
from tgtcore.nexus import Tmf, TmfRequest, TmfResponse, manage
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.testing.initiator import Bench, bench

READY = "00"
LUNS_CHANGED = (SenseKey.UNIT_ATTENTION, *asc.REPORTED_LUNS_DATA_HAS_CHANGED)
POWER_ON = (SenseKey.UNIT_ATTENTION, *asc.POWER_ON_OR_RESET_OCCURRED)
NOT_SUPPORTED = (SenseKey.ILLEGAL_REQUEST, *asc.LOGICAL_UNIT_NOT_SUPPORTED)


class Box(SharedCommands):
    code = 0x0C
    needs_store = False


@pytest.fixture
def made() -> Iterator[Bench]:
    with bench(threads=1) as made:
        made.add(Box)
        yield made


def test_who_logs_in_is_not_told_of_changes(made: Bench) -> None:
    initiator = made.initiator(attentions=True)
    assert [initiator.execute(READY).code for _ in range(2)] == [POWER_ON, (0, 0, 0)]


def test_a_new_logical_unit_is_told_through_the_old_ones(made: Bench) -> None:
    initiator = made.initiator()
    made.add(Box)
    assert initiator.execute(READY).code == LUNS_CHANGED


def test_another_logical_unit_in_the_place_of_the_only_one_is_told_through_itself(made: Bench) -> None:
    initiator = made.initiator()
    gone: list[bool] = []
    made.target.unmap(0, lambda: gone.append(True))
    assert gone == [True]
    assert initiator.execute(READY).code == NOT_SUPPORTED
    made.target.map(0, made.lus[0])
    assert [initiator.execute(READY).code for _ in range(3)] == [POWER_ON, LUNS_CHANGED, (0, 0, 0)]


def test_a_logical_unit_that_goes_is_told_through_the_others(made: Bench) -> None:
    made.add(Box)
    initiator = made.initiator()
    made.target.unmap(0, lambda: None)
    assert initiator.execute(READY, lun=1).code == LUNS_CHANGED


def test_what_a_logical_unit_remembers_is_made_when_it_is_addressed(made: Bench) -> None:
    made.add(Box)
    initiator = made.initiator(attentions=True)
    assert (len(initiator.nexus.itls), [dict(lu.itls) for lu in made.lus]) == (0, [{}, {}])
    assert [lu.name for lu in initiator.nexus.luns().values()] == ["lu0", "lu1"]
    initiator.execute(READY, lun=1)
    assert [itl.lun for itl in initiator.nexus.itls.values()] == [1]
    assert [len(lu.itls) for lu in made.lus] == [0, 1]


def test_nobody_can_tell_that_it_was_made_late(made: Bench) -> None:
    made.add(Box)
    early, late = made.initiator(attentions=True), made.initiator("iqn.2025-01.example:other", attentions=True)
    assert early.nexus.itl(1) is not None
    made.lus[1].attention(asc.CAPACITY_DATA_HAS_CHANGED)
    made.add(Box)
    made.lus[1].attention(asc.MODE_PARAMETERS_CHANGED)
    made.lus[1].reset()
    told = [[initiator.execute(READY, lun=1).code for _ in range(5)] for initiator in (early, late)]
    assert told[0] == told[1]
    assert told[0][0] == POWER_ON
    assert told[0].count((0, 0, 0)) == 1


def test_what_was_told_before_the_login_is_not_told(made: Bench) -> None:
    made.lus[0].attention(asc.CAPACITY_DATA_HAS_CHANGED)
    initiator = made.initiator(attentions=True)
    assert [initiator.execute(READY).code for _ in range(2)] == [POWER_ON, (0, 0, 0)]


def test_report_luns_tells_also_for_logical_units_that_were_not_addressed_yet(made: Bench) -> None:
    initiator = made.initiator()
    made.add(Box)
    initiator.execute("a0 00 00 00 00 00 00 00 10 00")
    assert [initiator.execute(READY, lun=1).code for _ in range(2)] == [POWER_ON, (0, 0, 0)]


def test_a_closed_nexus_has_no_logical_units(made: Bench) -> None:
    nexus = made.initiator(attentions=True).nexus
    made.close_nexus(nexus)
    assert (nexus.itl(0), dict(nexus.luns()), nexus.has(made.lus[0])) == (None, {}, False)
    assert not made.lus[0].itls


def test_a_target_reset_reaches_logical_units_that_were_not_addressed_yet(made: Bench) -> None:
    made.add(Box)
    other = made.initiator("iqn.2025-01.example:other")
    answers: list[TmfResponse] = []
    manage(made.initiator(attentions=True).nexus, TmfRequest(Tmf.TARGET_RESET), answers.append)
    assert answers == [TmfResponse.FUNCTION_COMPLETE]
    assert [other.execute(READY, lun=lun).code for lun in (0, 1)] == [POWER_ON, POWER_ON]
