from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator


def test_a_new_nexus_is_told_of_the_power_on_once(made: Bench) -> None:
    initiator = made.initiator(attentions=True)
    assert initiator.execute("00").code == (SenseKey.UNIT_ATTENTION, *asc.POWER_ON_OR_RESET_OCCURRED)
    assert initiator.execute("00").status is Status.GOOD


def test_request_sense_tells_a_pending_attention_as_data(made: Bench) -> None:
    initiator = made.initiator(attentions=True)
    result = initiator.execute("03 00 00 00 ff")
    assert result.status is Status.GOOD
    assert parse_sense(result.data).code == asc.POWER_ON_OR_RESET_OCCURRED
    assert initiator.execute("00").status is Status.GOOD


def test_request_sense_in_descriptor_format(initiator: Initiator) -> None:
    assert initiator.execute("03 01 00 00 ff").data == bytes.fromhex("72 00 00 00 00 00 00 00")


def test_nothing_is_wrong(initiator: Initiator) -> None:
    sense = parse_sense(initiator.execute("03 00 00 00 ff").data)
    assert (sense.key, sense.code) == (SenseKey.NO_SENSE, (0, 0))


def test_offline_by_administrative_wish(made: Bench, initiator: Initiator) -> None:
    made.lus[0].set_online(False)
    offline = (SenseKey.NOT_READY, *asc.LOGICAL_UNIT_NOT_READY_OFFLINE)
    assert initiator.execute("00").code == offline
    assert initiator.execute("1d 04").code == offline
    assert parse_sense(initiator.execute("03 00 00 00 ff").data).key is SenseKey.NOT_READY
    assert initiator.execute("12 00 00 00 24").status is Status.GOOD
    made.lus[0].set_online(True)
    assert initiator.execute("00").status is Status.GOOD


def test_only_the_default_self_test(initiator: Initiator) -> None:
    assert initiator.execute("1d 04").status is Status.GOOD
    assert initiator.execute("1d 20").code == (SenseKey.ILLEGAL_REQUEST, *asc.INVALID_FIELD_IN_CDB)
