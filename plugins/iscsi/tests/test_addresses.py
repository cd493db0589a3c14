"""Portal addresses in text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.addresses import Address, parse_address, target_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 3260),
        ("127.0.0.1:3261", "127.0.0.1", 3261),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("storage.example.com:65535", "storage.example.com", 65535),
        ("localhost", "localhost", 3260),
        ("::1", "::1", 3260),
        ("[::1]", "::1", 3260),
        ("[fe80::1%eth0]:860", "fe80::1%eth0", 860),
    ],
)
def test_accepted(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)
    assert parse_address(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither a host name nor an IP address"),
        (":3260", "'' is neither"),
        ("host:", "port ''"),
        ("host:65536", "expected 0 to 65535"),
        ("host:-1", "expected 0 to 65535"),
        ("host:٣", "expected 0 to 65535"),
        ("300.1.1.1:1", "neither"),
        ("1.2.3", "neither"),
        ("[::1", r"expected \[IPv6 address\]:port"),
        ("[::1]3260", r"expected \[IPv6 address\]:port"),
        ("[host]:1", r"expected \[IPv6 address\]:port"),
        ("[::g]:1", "neither"),
        ("1:2:3", "neither"),
        ("two words:1", "neither"),
        ("a" * 64 + ":1", "neither"),
        (".".join(["a" * 50] * 6), "neither"),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_address(text)


def test_target_address() -> None:
    assert target_address(Address("10.0.0.1", 3260), 1) == "10.0.0.1:3260,1"
    assert target_address(Address("fd00::1", 3260), 2) == "[fd00::1]:3260,2"


@given(text=st.text(max_size=60))
def test_random_text_raises_only_value_errors(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(str(address)) == address
