"""Packets of strangers: whatever comes with them makes nobody wait."""

import os
import socket
import time
from collections.abc import Iterator

import pytest
from ring.lingering import Lingering

from tgtcore.packets import hang_up, peer_credentials, receive_packet

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


def test_a_packet_without_use_for_descriptors_takes_no_time(pair: Pair, lingering: Lingering) -> None:
    core, driver = pair
    socket.send_fds(driver, [b"hello"], [lingering.ours.fileno()] * 3)
    lingering.ours.close()
    began = time.monotonic()
    assert receive_packet(core, 4) == b"hell"
    assert time.monotonic() - began < AT_ONCE_S
    driver.close()
    assert receive_packet(core, 4) == b""


def test_to_hang_up_takes_no_time_whatever_was_sent(pair: Pair, lingering: Lingering) -> None:
    core, driver = pair
    before = descriptors()
    driver.send(b"")
    socket.send_fds(driver, [b"here"], [lingering.ours.fileno()] * 3)
    driver.send(b"")
    socket.send_fds(driver, [b""], [lingering.ours.fileno()])
    lingering.ours.close()
    began = time.monotonic()
    hang_up(core)
    assert time.monotonic() - began < AT_ONCE_S
    assert driver.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        driver.send(b"late")
    lingering.let_go()
    assert descriptors() <= before - 2


def test_to_hang_up_on_who_has_gone_is_nothing_special(pair: Pair) -> None:
    core, driver = pair
    driver.close()
    hang_up(core)
    assert core.fileno() < 0


def test_the_kernel_knows_who_is_at_the_other_end(pair: Pair) -> None:
    core, _ = pair
    assert peer_credentials(core) == (os.getpid(), os.geteuid(), os.getegid())
