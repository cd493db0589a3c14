"""Sockets that listen already."""

import socket
from collections.abc import Iterator

import pytest

from tgtcore.daemon import Inheritance, InheritedSocket


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_a_socket_is_given_once_by_its_own_address(listening: socket.socket) -> None:
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    inheritance = Inheritance([InheritedSocket(address, listening)])
    assert inheritance.take_socket("127.0.0.1:1") is None
    assert inheritance.take_socket(address) is listening
    assert inheritance.take_socket(address) is None


def test_what_a_former_user_asked_for_comes_first(listening: socket.socket) -> None:
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    with socket.create_server(("127.0.0.1", 0)) as other:
        inheritance = Inheritance([InheritedSocket("127.0.0.1:0", listening), InheritedSocket("127.0.0.1:0", other)])
        assert inheritance.take_socket("127.0.0.1:0") is listening
        assert inheritance.take_socket("127.0.0.1:0") is other
    assert Inheritance([InheritedSocket("127.0.0.1:0", listening)]).take_socket(address) is listening


def test_a_transport_may_have_all_that_it_had(listening: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        inheritance = Inheritance([InheritedSocket("a", listening, "iscsi"), InheritedSocket("b", other, "loop")])
        assert inheritance.take_sockets("loop") == [("b", other)]
        assert inheritance.take_sockets("loop") == []
        assert inheritance.take_socket("a", "iscsi") is listening


def test_an_heir_gets_what_it_had_or_nobody_had(listening: socket.socket) -> None:
    """By whatever address it asks for it."""
    with socket.create_server(("127.0.0.1", 0)) as own, socket.create_server(("127.0.0.1", 0)) as free:
        others = InheritedSocket("a", listening, "iscsi")
        inheritance = Inheritance([others, InheritedSocket("a", own, "loop"), InheritedSocket("a", free)])
        assert inheritance.take_socket(str(others), "loop") is None
        assert [inheritance.take_socket("a", "loop") for _ in range(3)] == [own, free, None]
        assert inheritance.take_socket("a") is None
        assert inheritance.take_socket("a", "iscsi") is listening


def test_reservations_are_given_once() -> None:
    inheritance = Inheritance(reservations={b"a": {"type": None}})
    assert inheritance.take_reservations(b"b") is None
    assert inheritance.take_reservations(b"a") == {"type": None}
    assert inheritance.take_reservations(b"a") is None


def test_what_nobody_wants_is_reported_and_closed(listening: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    inheritance = Inheritance([InheritedSocket(address, listening)])
    inheritance.close()
    inheritance.close()
    assert listening.fileno() == -1
    assert caplog.messages == [f"the inherited socket at {address} is closed: no portal has that address"]
