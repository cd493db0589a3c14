import pytest
from tgtcore_disk import DiskOptions

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator
from tgtcore.testing.ram import RamStore

STOPPED = (SenseKey.NOT_READY, *asc.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED)
NO_MEDIUM = (SenseKey.NOT_READY, *asc.MEDIUM_NOT_PRESENT)
PREVENTED = (SenseKey.ILLEGAL_REQUEST, *asc.MEDIUM_REMOVAL_PREVENTED)
INVALID_FIELD = (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
STOP, START, EJECT, LOAD = "1b 00 00 00 00", "1b 00 00 00 01", "1b 00 00 00 02", "1b 00 00 00 03"
READ = "28 00 00000000 00 0001"
removable = pytest.mark.parametrize("options", [DiskOptions(removable=True)])


def test_stop_makes_everything_durable_and_start_comes_back(initiator: Initiator, store: RamStore) -> None:
    assert initiator.execute(STOP).status is Status.GOOD
    assert store.flushes == 1
    assert initiator.execute(READ).code == STOPPED
    assert initiator.execute("00").code == STOPPED
    assert initiator.execute(START).status is Status.GOOD
    assert initiator.execute(READ).status is Status.GOOD


def test_a_reset_starts_the_unit(made: Bench, initiator: Initiator) -> None:
    initiator.execute(STOP)
    made.lus[0].reset()
    initiator.execute("00")
    assert initiator.execute(READ).status is Status.GOOD


@pytest.mark.parametrize("cdb", [EJECT, LOAD])
def test_what_is_fixed_cannot_be_ejected(initiator: Initiator, cdb: str) -> None:
    assert initiator.execute(cdb).code == INVALID_FIELD
    assert initiator.execute("1e 00 00 00 01").code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_COMMAND_OPERATION_CODE)


def test_power_conditions_are_not_there(initiator: Initiator) -> None:
    assert initiator.execute("1b 00 00 00 10").code == INVALID_FIELD


@removable
def test_eject_and_load(made: Bench, initiator: Initiator, other: Initiator, options: DiskOptions) -> None:
    assert initiator.execute("12 00 00 00 24").data[1] & 0x80
    assert initiator.execute(EJECT).status is Status.GOOD
    assert initiator.execute(READ).code == NO_MEDIUM
    assert initiator.execute(START).code == NO_MEDIUM
    assert initiator.execute(LOAD).status is Status.GOOD
    assert initiator.execute(READ).status is Status.GOOD
    assert other.execute("00").code == (SenseKey.UNIT_ATTENTION, *asc.MEDIUM_MAY_HAVE_CHANGED)
    assert other.execute(READ).status is Status.GOOD


@removable
def test_removal_is_prevented_until_every_nexus_allows_it(
    initiator: Initiator, other: Initiator, options: DiskOptions
) -> None:
    initiator.execute("1e 00 00 00 01")
    other.execute("1e 00 00 00 01")
    assert initiator.execute(EJECT).code == PREVENTED
    initiator.execute("1e 00 00 00 00")
    assert initiator.execute(EJECT).code == PREVENTED
    other.logout()
    assert initiator.execute(EJECT).status is Status.GOOD


@removable
def test_a_reset_ends_the_prevention(made: Bench, initiator: Initiator, options: DiskOptions) -> None:
    initiator.execute("1e 00 00 00 01")
    made.lus[0].reset()
    initiator.execute("00")
    assert initiator.execute(EJECT).status is Status.GOOD


@removable
def test_prevention_has_two_values(initiator: Initiator, options: DiskOptions) -> None:
    assert initiator.execute("1e 00 00 00 02").code == INVALID_FIELD


@removable
def test_under_a_reservation(initiator: Initiator, other: Initiator, options: DiskOptions) -> None:
    for action, kind, key, service_key in ((0, 0, 0, 1), (1, 1, 1, 0)):
        data = key.to_bytes(8, "big") + service_key.to_bytes(8, "big") + bytes(8)
        assert initiator.execute(bytes((0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0)), data).status is Status.GOOD
    for cdb in (START, LOAD):
        assert other.execute(cdb).status is Status.GOOD
    assert other.execute("1e 00 00 00 00").status is Status.GOOD
    for cdb in (STOP, EJECT, "1e 00 00 00 01"):
        assert other.execute(cdb).status is Status.RESERVATION_CONFLICT
