import pytest

from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator


@pytest.mark.parametrize(("reserve", "release"), [("16", "17"), ("56", "57")])
def test_one_nexus_at_a_time(initiator: Initiator, other: Initiator, reserve: str, release: str) -> None:
    assert initiator.execute(reserve).status is Status.GOOD
    assert initiator.execute(reserve).status is Status.GOOD
    assert other.execute(reserve).status is Status.RESERVATION_CONFLICT
    assert other.execute("00").status is Status.RESERVATION_CONFLICT
    assert other.execute("12 00 00 00 24").status is Status.GOOD
    assert other.execute(release).status is Status.GOOD
    assert other.execute("00").status is Status.RESERVATION_CONFLICT
    assert initiator.execute(release).status is Status.GOOD
    assert other.execute("00").status is Status.GOOD


def test_it_ends_with_the_nexus(initiator: Initiator, other: Initiator) -> None:
    initiator.execute("16")
    initiator.logout()
    assert other.execute("00").status is Status.GOOD


def test_it_ends_with_a_reset(made: Bench, initiator: Initiator, other: Initiator) -> None:
    initiator.execute("16")
    made.lus[0].reset()
    other.execute("00")  # takes the attention
    assert other.execute("00").status is Status.GOOD


def test_third_parties_and_extents_are_refused(initiator: Initiator) -> None:
    assert initiator.execute("16 10").status is Status.CHECK_CONDITION
    assert initiator.execute("16 01").status is Status.CHECK_CONDITION
