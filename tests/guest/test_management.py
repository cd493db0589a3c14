"""tgtadm at work under a kernel that has the disk in use: resize, removal of the LUN, removal of the target."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from oracle.served import TARGET, Served

_READERS = "for n in 1 2 3 4; do (while dd if={0} of=/dev/null bs=64k iflag=direct; do :; done) >/dev/null 2>&1 & done"
_WRITER = "(while dd if=/dev/zero of={0} bs=64k count=512 oflag=direct; do :; done) >/dev/null 2>&1 &"
_GONE = r"I/O error|rejecting I/O|Sense Key|conn error|Synchronize Cache.* failed|Result: hostbyte"
_ENDED = "within 60 sh -c '! pidof dd'"


@pytest.fixture
def served(work: Path) -> Iterator[Served]:
    with Served.disk(work, work / f"{time.monotonic_ns()}.img", options=("--size", "256M"), host="127.0.0.6") as daemon:
        yield daemon


def leases(served: Served) -> list[Any]:
    """What the daemon says is still held by tasks and sessions."""
    return list(served.admin("stat")["leases"])


def test_a_resize_is_noticed(guest: Guest, initiator: Initiator, served: Served) -> None:
    session = initiator.login(served.portal, TARGET)
    disk = initiator.disk(session, 0)
    (unit,) = served.admin("lu", "list")
    served.admin("lu", "resize", unit["name"], "384M")
    guest.run(f"sg_turs {disk}; dd if={disk} of=/dev/null bs=4k count=1 iflag=direct")
    guest.run("within 20 sh -c \"dmesg | grep -qi 'capacity data has changed'\"", timeout_s=30)
    guest.run(f"iscsiadm -m session -r {session} --rescan")
    guest.run(f"within 20 sh -c '[ $(blockdev --getsize64 {disk}) = {384 << 20} ]'", timeout_s=30)
    guest.run(f"dd if=/dev/urandom of={disk} bs=1M seek=380 count=4 oflag=direct")
    initiator.logout(session)


@pytest.mark.provokes(_GONE)
def test_removal_of_lun_and_target_under_io_hangs_nothing(guest: Guest, initiator: Initiator, served: Served) -> None:
    session = initiator.login(served.portal, TARGET, replacement_timeout="5")
    disk = initiator.disk(session, 0)
    guest.run((_READERS + "\n" + _WRITER).format(disk))
    time.sleep(1.5)
    served.admin("lun", "remove", TARGET, "0")
    guest.run(_ENDED, timeout_s=70)
    served.admin("target", "remove", TARGET)
    assert served.admin("session", "list") == []
    assert leases(served) == []
    guest.run(f"timeout 60 iscsiadm -m session -r {session} -u; true", timeout_s=70)
    assert "hung" not in guest.text("dmesg | grep -i hung; true")
    assert guest.text("ps -o stat,comm | grep '^D' | grep -v kworker; true") == ""


@pytest.mark.provokes(_GONE)
def test_removal_of_the_target_alone_under_io_hangs_nothing(guest: Guest, initiator: Initiator, served: Served) -> None:
    session = initiator.login(served.portal, TARGET, replacement_timeout="5")
    disk = initiator.disk(session, 0)
    guest.run(_READERS.format(disk))
    time.sleep(1.5)
    served.admin("target", "remove", TARGET)
    guest.run(_ENDED, timeout_s=70)
    assert served.admin("session", "list") == []
    assert leases(served) == []
    guest.run(f"timeout 60 iscsiadm -m session -r {session} -u; true", timeout_s=70)
    assert guest.text("ps -o stat,comm | grep '^D' | grep -v kworker; true") == ""


@pytest.mark.provokes(_GONE)
def test_a_daemon_that_stops_under_io_hangs_nothing(guest: Guest, initiator: Initiator, served: Served) -> None:
    session = initiator.login(served.portal, TARGET, replacement_timeout="5")
    disk = initiator.disk(session, 0)
    guest.run(_READERS.format(disk))
    time.sleep(1.5)
    assert served.stop() == 0
    guest.run(_ENDED, timeout_s=70)
    guest.run(f"timeout 60 iscsiadm -m session -r {session} -u; true", timeout_s=70)
    assert initiator.sessions() == set()
