"""The harness itself, with Debian's target as the other side."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.lab.console import GuestDied
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from guest.lab.verified import VerifiedWriter
from oracle import debian_tgtd
from oracle.debian_tgtd import DebianTgtd
from oracle.relay import Relay


@pytest.fixture(scope="module")
def peer(work: Path) -> Iterator[DebianTgtd]:
    image = work / "peer.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    with DebianTgtd(image, host="127.0.0.2") as target:
        yield target


def test_scripts_return_status_and_both_streams(guest: Guest) -> None:
    result = guest.run("echo out; echo err >&2; exit 3", check=False)
    assert (result.status, result.output) == (3, b"out\nerr\n")


def test_files_of_any_bytes_go_in_and_out(guest: Guest) -> None:
    content = os.urandom(300_000)
    guest.put("/tmp/some file", content)
    assert guest.get("/tmp/some file") == content


def test_a_failing_script_is_an_assertion(guest: Guest) -> None:
    with pytest.raises(AssertionError, match="exit status 7"):
        guest.run("exit 7")


def test_the_kernel_is_debians_own(guest: Guest) -> None:
    assert "Debian" in guest.text("uname -v")


def test_there_is_no_way_out(guest: Guest) -> None:
    assert "default" not in guest.text("ip route")


def test_a_guest_that_panics_is_noticed() -> None:
    with Guest() as machine, pytest.raises(GuestDied, match="panic"):
        machine.run("echo c >/proc/sysrq-trigger; sleep 20", timeout_s=30)


def test_a_script_that_hangs_is_noticed() -> None:
    with Guest() as machine, pytest.raises(TimeoutError, match="sleep 100"):
        machine.run("sleep 100", timeout_s=1)


def test_a_relay_cuts_and_comes_back(peer: DebianTgtd) -> None:
    with Relay("127.0.0.1", peer.portal) as relay:
        with socket.create_connection(relay.address, timeout=5) as one:
            relay.cut()
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(relay.address, timeout=5)
        relay.restore()
        socket.create_connection(relay.address, timeout=5).close()


def test_another_target_is_found_and_verified(guest: Guest, initiator: Initiator, peer: DebianTgtd) -> None:
    host, port = peer.portal
    assert initiator.discover(peer.portal) == [(f"{host}:{port},1", debian_tgtd.TARGET)]
    with initiator.session(peer.portal, debian_tgtd.TARGET) as session:
        disk = initiator.disk(session, 1)
        guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d")
        with VerifiedWriter(guest, "/mnt/d") as writer:
            assert writer.rounds >= 3
        guest.run("umount /mnt/d")
