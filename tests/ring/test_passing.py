"""Descriptors over the socket of an attachment: sockets that listen are passed on, and nothing else makes anybody wait."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ring.lingering import Lingering

from tgtcore.errors import RingError
from tgtcore.ring.passing import close_listening, receive_socket, send_socket

AT_ONCE_S = 2
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    core, driver = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with core, driver:
        driver.settimeout(10)
        core.setblocking(False)
        yield core, driver


@pytest.fixture
def lingering() -> Iterator[Lingering]:
    made = Lingering()
    yield made
    made.let_go()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_socket_that_listens_is_passed_on(pair: Pair) -> None:
    core_link, driver_link = pair
    with socket.create_server(("127.0.0.1", 0)) as listening:
        send_socket(driver_link, "127.0.0.1:3260", listening)
        passed_on = receive_socket(core_link)
        assert passed_on is not None
        address, received = passed_on
        with received:
            assert (address, received.getsockname()) == ("127.0.0.1:3260", listening.getsockname())
            assert received.fileno() != listening.fileno()


def test_what_is_no_listening_socket_is_not_taken(pair: Pair) -> None:
    core_link, driver_link = pair
    core_link.setblocking(False)
    with pytest.raises(BlockingIOError):
        receive_socket(core_link)
    driver_link.send(b"words only")
    with pytest.raises(RingError, match="something over its socket that is no socket"):
        receive_socket(core_link)
    reading, writing = os.pipe()
    socket.send_fds(driver_link, [b"pipe"], [reading])
    with pytest.raises(RingError, match="a descriptor over its socket that is no socket"):
        receive_socket(core_link)
    with socket.socket() as idle:
        send_socket(driver_link, "idle", idle)
    with pytest.raises(RingError, match="a socket over its socket that does not listen"):
        receive_socket(core_link)
    os.close(reading)
    os.close(writing)
    driver_link.close()
    assert receive_socket(core_link) is None


@pytest.mark.parametrize("count", [1, 2, 253])
def test_to_close_what_nobody_wants_takes_no_time(count: int, pair: Pair, lingering: Lingering) -> None:
    core, driver = pair
    before = descriptors()
    socket.send_fds(driver, [b"here"], [0] * (count - 1) + [lingering.ours.fileno()])
    lingering.ours.close()
    began = time.monotonic()
    with pytest.raises(RingError, match="over its socket that"):
        receive_socket(core)
    assert time.monotonic() - began < AT_ONCE_S
    lingering.let_go()
    assert descriptors() < before


def test_a_listening_socket_that_was_made_something_else_of_is_closed_at_once(pair: Pair) -> None:
    core, driver = pair
    theirs = socket.create_server(("127.0.0.1", 0))
    send_socket(driver, "here", theirs)
    passed_on = receive_socket(core)
    assert passed_on is not None
    with socket.create_server(("127.0.0.1", 0)) as another:
        theirs.shutdown(socket.SHUT_RDWR)
        theirs.connect(another.getsockname())
        peer, _ = another.accept()
    Lingering.keep_waiting(theirs)
    theirs.close()
    began = time.monotonic()
    close_listening(passed_on[1])
    assert time.monotonic() - began < AT_ONCE_S
    peer.close()


def test_a_socket_that_knows_no_lingering_is_closed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        close_listening(listening)
        assert listening.fileno() < 0
