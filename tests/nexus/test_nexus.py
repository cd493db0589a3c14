"""What a nexus is told of its logical units."""

from collections.abc import Iterator

import pytest

from tgtcore.device import SharedCommands
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
