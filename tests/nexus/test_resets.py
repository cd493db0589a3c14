"""Which unit attention condition tells the initiators what was reset."""

from collections.abc import Iterator

import pytest

from tgtcore.device import SharedCommands
from tgtcore.nexus import Tmf, TmfRequest, TmfResponse
from tgtcore.nexus.management import manage
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.testing.initiator import Bench, Initiator, bench

TEST_UNIT_READY = "00"


class Box(SharedCommands):
    code = 0x0C
    needs_store = False


@pytest.fixture
def made() -> Iterator[Bench]:
    with bench() as made:
        made.add(Box)
        made.add(Box)
        yield made


def reset(initiator: Initiator, function: Tmf) -> None:
    answers: list[TmfResponse] = []
    manage(initiator.nexus, TmfRequest(function), answers.append)
    assert answers == [TmfResponse.FUNCTION_COMPLETE]


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (Tmf.LOGICAL_UNIT_RESET, [asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED, None]),
        (Tmf.TARGET_RESET, [asc.POWER_ON_OR_RESET_OCCURRED, asc.POWER_ON_OR_RESET_OCCURRED]),
    ],
)
def test_every_initiator_is_told(made: Bench, function: Tmf, told: list[tuple[int, int] | None]) -> None:
    initiators = [made.initiator(), made.initiator("iqn.2025-01.example:other", port=1)]
    reset(initiators[0], function)
    for initiator in initiators:
        for lun, code in enumerate(told):
            expected = (SenseKey.UNIT_ATTENTION, *code) if code else (0, 0, 0)
            assert initiator.execute(TEST_UNIT_READY, lun=lun).code == expected
            assert initiator.execute(TEST_UNIT_READY, lun=lun).code == (0, 0, 0)
