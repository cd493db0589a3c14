from tgtcore.testing.initiator import Initiator


def log(initiator: Initiator, page: int) -> bytes:
    return initiator.execute(bytes((0x4D, 0, 0x40 | page, 0, 0, 0, 0, 0, 0xFF, 0))).data


def test_the_pages(initiator: Initiator) -> None:
    assert list(log(initiator, 0x00)[4:]) == [0x00, 0x0D, 0x19, 0x2F]


def test_there_is_no_temperature(initiator: Initiator) -> None:
    assert log(initiator, 0x0D) == bytes.fromhex("0d 00 0006 0000 03 02 00 ff")


def test_nothing_is_predicted_to_fail(initiator: Initiator) -> None:
    assert log(initiator, 0x2F) == bytes.fromhex("2f 00 0008 0000 03 04 00 00 ff 00")


def test_statistics_have_the_parameters_that_the_standard_asks_for(initiator: Initiator) -> None:
    data = log(initiator, 0x19)
    assert data[:8] == bytes.fromhex("19 00 005c 0001 03 40")
    assert data[72:] == bytes.fromhex("0002 03 08") + bytes(8) + bytes.fromhex("0003 03 08") + bytes(8)
