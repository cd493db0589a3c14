"""Ports that there can be, and that there can not be."""

import pytest

from tgtcore.errors import RingError
from tgtcore.isolation.ports import checked_initiator, checked_target_port, checked_target_ports
from tgtcore.nexus import InitiatorPort, TargetPort


@pytest.mark.parametrize(
    ("port", "message"),
    [
        (InitiatorPort("", b"t"), "a name of 0 and an address of 0 bytes"),
        (InitiatorPort("n" * 224, b"t"), "a name of 224 "),
        (InitiatorPort("\u00e9" * 112, b"t"), "a name of 224 "),
        (InitiatorPort("n", b"t", "a" * 224), "an address of 224 bytes"),
        (InitiatorPort("n\n", b"t"), "a name of 2 "),
        (InitiatorPort("n", b"t", "\x1b"), "an address of 1 "),
        (InitiatorPort("n\ud800", b"t"), "a name of 2 "),
        (InitiatorPort("n", b""), "a TransportID of 0 bytes"),
        (InitiatorPort("n", bytes(257)), "a TransportID of 257 bytes, expected at most 256"),
    ],
)
def test_initiator_ports_that_can_not_be_are_refused(port: InitiatorPort, message: str) -> None:
    with pytest.raises(RingError, match=message):
        checked_initiator(port)


def test_initiator_ports_that_can_be_are_taken() -> None:
    port = InitiatorPort("n" * 223, bytes(256), "a" * 223)
    assert checked_initiator(port) is port


@pytest.mark.parametrize(
    "port",
    [
        TargetPort("n", 0, 1, 5),
        TargetPort("n", 65536, 1, 5),
        TargetPort("n", 1, 0, 5),
        TargetPort("n", 1, 65536, 5),
        TargetPort("n", 1, 1, 16),
        TargetPort("n", 1, 1, -1),
        TargetPort("", 1, 1, 5),
        TargetPort("n" * 300, 1, 1, 5),
        TargetPort("n\x1b[2J", 1, 1, 5),
    ],
)
def test_ports_that_can_not_be_are_refused(port: TargetPort) -> None:
    with pytest.raises(RingError, match="there can be no target port"):
        checked_target_port(port)


def test_two_ports_of_a_target_have_two_numbers() -> None:
    ports = [TargetPort("a", 1, 1, 5), TargetPort("b", 2, 1, 5)]
    assert checked_target_ports(ports) == ports
    with pytest.raises(RingError, match="the same relative target port identifier"):
        checked_target_ports([*ports, TargetPort("c", 2, 1, 5)])


def test_ports_that_can_be_are_taken() -> None:
    port = TargetPort("iqn.2025-01.example:t,t,0x0001", 65535, 65535, 15)
    assert checked_target_port(port) is port
