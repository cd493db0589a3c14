from collections.abc import Iterator

import pytest

from tgtcore.device import SharedCommands
from tgtcore.limits import ATTENTIONS_PER_NEXUS_MAX
from tgtcore.nexus import ITLNexus
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import bench

CONFLICT = Status.RESERVATION_CONFLICT


class Plain(SharedCommands):
    code = 0x03
    needs_store = False


def test_figures_of_a_nexus() -> None:
    with bench(threads=1) as made:
        made.add(Plain)
        initiator = made.initiator()
        initiator.execute("12 00 00 00 10")
        initiator.execute("15 10 00 00 04", bytes(4))
        initiator.execute("ff")
        itl = initiator.nexus.itl(0)
        assert itl is not None
        assert itl.statistics() == {"commands": 3, "errors": 1, "bytes_in": 16, "bytes_out": 4}


@pytest.fixture
def itl() -> Iterator[ITLNexus]:
    with bench(threads=1) as made:
        made.add(Plain)
        found = made.initiator().nexus.itl(0)
        assert found is not None
        yield found


def test_a_condition_is_pending_once(itl: ITLNexus) -> None:
    for code in (asc.MODE_PARAMETERS_CHANGED, asc.CAPACITY_DATA_HAS_CHANGED, asc.MODE_PARAMETERS_CHANGED):
        itl.establish_attention(code)
    assert list(itl.attentions) == [asc.MODE_PARAMETERS_CHANGED, asc.CAPACITY_DATA_HAS_CHANGED]


def test_a_reset_is_told_before_the_rest_which_is_told_all_the_same(itl: ITLNexus) -> None:
    others = [asc.CAPACITY_DATA_HAS_CHANGED, asc.REPORTED_LUNS_DATA_HAS_CHANGED, asc.REGISTRATIONS_PREEMPTED]
    for code in (*others, asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED):
        itl.establish_attention(code)
    assert list(itl.attentions) == [asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED, *others]


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_resets_the_greatest_is_told(itl: ITLNexus, order: int) -> None:
    resets = [
        asc.POWER_ON_OR_RESET_OCCURRED,
        asc.POWER_ON_OCCURRED,
        asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED,
        asc.I_T_NEXUS_LOSS_OCCURRED,
    ]
    for code in resets[::order]:
        itl.establish_attention(code)
    assert list(itl.attentions) == [asc.POWER_ON_OR_RESET_OCCURRED]


def test_of_too_many_conditions_the_oldest_but_a_reset_are_forgotten(itl: ITLNexus) -> None:
    many = [(0x3F, ascq) for ascq in range(ATTENTIONS_PER_NEXUS_MAX + 3)]
    for code in (asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED, *many):
        itl.establish_attention(code)
    assert list(itl.attentions) == [asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED, *many[-ATTENTIONS_PER_NEXUS_MAX + 1 :]]


def test_a_reservation_bars_those_who_come_later_too_and_a_door_that_opens_leaves_it() -> None:
    with bench(threads=1) as made:
        lu = made.add(Plain)
        holder, other = made.initiator("holder"), made.initiator("other")
        assert holder.execute("16").status is Status.GOOD
        late = made.initiator("late")
        assert [one.execute("00").status for one in (holder, other, late)] == [Status.GOOD, *[CONFLICT] * 2]
        lu.leases.shut()
        assert holder.execute("00").sense.key is SenseKey.ILLEGAL_REQUEST, "as if there were no such LUN"
        assert lu.missing == 0
        lu.leases.open()
        assert [one.execute("00").status for one in (holder, other, late)] == [Status.GOOD, *[CONFLICT] * 2]
        assert holder.execute("17").status is Status.GOOD
        assert [one.execute("00").status for one in (other, late)] == [Status.GOOD] * 2
        assert not lu.barred
