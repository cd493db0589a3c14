"""The 16 bytes of an element, as LoPAR and the real client write them."""

import pytest
from tgtcore_ibmvio.crq import Event, Format, command_element
from tgtcore_ibmvio.crq.elements import FIELDS, INIT, INIT_COMPLETE, PING, PING_RESPONSE, meaning


@pytest.mark.parametrize(
    ("element", "event"),
    [
        (INIT, Event.INIT),
        (INIT_COMPLETE, Event.INIT_COMPLETE),
        (PING, Event.PING),
        (PING_RESPONSE, Event.PING_RESPONSE),
        (bytes.fromhex("80010000003c0100000000000c010200"), Event.SRP),
        (bytes.fromhex("80020000001e0100000000000c010100"), Event.MAD),
        (bytes.fromhex("8003") + bytes(14), Event.MAD),
        (bytes.fromhex("8004") + bytes(14), Event.MAD),
        (bytes.fromhex("8005") + bytes(14), Event.MAD),
        (bytes.fromhex("8006") + bytes(14), Event.UNKNOWN),
        (bytes.fromhex("8000") + bytes(14), Event.UNKNOWN),
        (bytes.fromhex("8007") + bytes(14), Event.UNKNOWN),
        (bytes.fromhex("c003") + bytes(14), Event.UNKNOWN),
        (bytes(16), Event.UNKNOWN),
        (bytes.fromhex("ff01") + bytes(14), Event.PARTNER_GONE),
        (bytes.fromhex("ff02") + bytes(14), Event.PARTNER_GONE),
        (bytes.fromhex("ff020020") + bytes(12), Event.PARTNER_GONE),
        (bytes.fromhex("ff06") + bytes(14), Event.MIGRATED),
        (bytes.fromhex("ff09") + bytes(14), Event.SUSPEND),
        (bytes.fromhex("ff0a") + bytes(14), Event.RESUME),
        (bytes.fromhex("ff0a0020") + bytes(12), Event.OVERRUN),
        (bytes.fromhex("ff090020") + bytes(12), Event.OVERRUN),
        (bytes.fromhex("ff03") + bytes(14), Event.UNKNOWN),
    ],
)
def test_what_an_element_means(element, event):
    header, format_, status, *_ = FIELDS.unpack(element)
    assert meaning(header, format_, status) is event


def test_a_request_has_the_address_and_length_of_its_information_unit():
    *_, timeout_s, length, address = FIELDS.unpack(bytes.fromhex("80010000003c0100000000000c010200"))
    assert (timeout_s, length, address) == (60, 256, 0x0C010200)


def test_an_answer_has_the_tag_as_it_came():
    answer = command_element(Format.SRP, 52, bytes.fromhex("6003bd04000000c0"))
    assert answer == bytes.fromhex("8001000000000034" + "6003bd04000000c0")
