"""dm-multipath over two portals of ours: one is cut, falls silent, is closed, comes back, and no verified write is lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from guest.lab.verified import VerifiedWriter
from oracle.relay import Relay
from oracle.served import TARGET, Served, portal_of

_TIMES = {"replacement_timeout": "5", "noop_interval": "2", "noop_timeout": "2"}
_MAP = "/dev/mapper/mpatha"
_PROVOKED = r"conn error|timing out|ping timeout|rejecting I/O|I/O error, dev sd|Sense Key|session recovery timed out"


@dataclass(frozen=True)
class Paths:
    """The map's two ways to the disk: straight to the first portal, and through a relay to the second."""

    guest: Guest
    served: Served
    relay: Relay

    def close_portal(self) -> None:
        """Close the first portal, and all sessions; only those of the other one can come back."""
        self.served.admin("portal", "remove", self._portal)
        for row in self.served.admin("session", "list"):
            self.served.admin("session", "remove", row["id"])

    def open_portal(self) -> None:
        """Open the first portal again."""
        self.served.admin("portal", "add", self._portal)

    @property
    def _portal(self) -> str:
        host, port = self.served.portal
        return f"{host}:{port}"

    def wait_active(self, count: int, timeout_s: float = 60) -> None:
        """Wait until so many paths are active and ready."""
        active = f"active() {{ [ $(multipathd show paths format '%t %T' | grep -c 'active *ready') = {count} ]; }}"
        state = "multipathd show paths format '%d %t %T'; iscsiadm -m session -P 1; dmesg | tail -20"
        self.guest.run(f"{active}; within {int(timeout_s)} active || {{ {state}; false; }}", timeout_s=timeout_s + 10)


@pytest.fixture(scope="module")
def paths(guest: Guest, initiator: Initiator, work: Path) -> Iterator[Paths]:
    options = ("--size", "256M", "--portal", "127.0.0.3:0")
    guest.run("modprobe -a dm_multipath dm_service_time; start_udev")
    with Served.disk(work, work / "multi.img", options=options, host="127.0.0.2") as served:
        portals = sorted({portal_of(url) for url in served.urls})
        assert [host for host, _ in portals] == ["127.0.0.2", "127.0.0.3"]
        assert served.portal == portals[0]
        with Relay("127.0.0.5", portals[1]) as relay:
            sessions = [initiator.login(address, TARGET, **_TIMES) for address in (served.portal, relay.address)]
            disks = [initiator.disk(session, 0) for session in sessions]
            identities = {guest.text(f"/usr/lib/udev/scsi_id -g {disk}") for disk in disks}
            assert len(identities) == 1
            guest.run("rm -f /etc/multipath/bindings /etc/multipath/wwids")  # of another daemon's disk
            guest.run("multipathd -d -s >/tmp/multipathd.log 2>&1 &")
            guest.run(f"within 20 test -e {_MAP}", timeout_s=30)
            guest.run(f"mkfs.ext4 -q -F {_MAP} && mount -t ext4 {_MAP} /mnt/d")
            yield Paths(guest, served, relay)
            guest.run(f"umount /mnt/d && fsck.ext4 -f -n {_MAP}", timeout_s=60)
            guest.run("multipathd disablequeueing maps && within 20 multipath -F", timeout_s=60)
            # its answer may be lost, as it ends
            guest.run("multipathd shutdown; within 20 sh -c '! pidof multipathd'", timeout_s=30)
            for session in sessions:
                initiator.logout(session)


@pytest.fixture
def writer(guest: Guest, paths: Paths) -> Iterator[VerifiedWriter]:
    paths.wait_active(2)
    with VerifiedWriter(guest, "/mnt/d") as running:
        yield running
        running.wait_progress()


def test_both_portals_are_paths_of_one_map(paths: Paths) -> None:
    paths.wait_active(2)
    topology = paths.guest.text("multipath -ll")
    assert topology.count(" dm-") == 1
    assert topology.count("active ready running") == 2
    assert "size=256M" in topology


@pytest.mark.provokes(_PROVOKED)
def test_a_closed_portal_is_survived_and_taken_back(paths: Paths, writer: VerifiedWriter) -> None:
    paths.close_portal()
    writer.wait_progress(timeout_s=40)
    paths.wait_active(1)
    paths.open_portal()
    paths.wait_active(2)
    assert len(paths.served.admin("session", "list")) == 2


@pytest.mark.provokes(_PROVOKED)
def test_a_cut_path_is_survived_and_taken_back(paths: Paths, writer: VerifiedWriter) -> None:
    paths.relay.cut()
    writer.wait_progress(timeout_s=40)
    paths.wait_active(1)
    paths.relay.restore()
    paths.wait_active(2)


@pytest.mark.provokes(_PROVOKED)
def test_a_silent_path_is_survived_and_taken_back(paths: Paths, writer: VerifiedWriter) -> None:
    paths.relay.hold()
    writer.wait_progress(timeout_s=60)
    paths.wait_active(1)
    paths.relay.restore()
    paths.wait_active(2)


@pytest.mark.provokes(_PROVOKED)
def test_all_paths_gone_for_a_while_are_waited_for(paths: Paths, writer: VerifiedWriter) -> None:
    paths.relay.cut()
    paths.close_portal()
    paths.wait_active(0)
    paths.open_portal()
    paths.relay.restore()
    writer.wait_progress(timeout_s=60)
    paths.wait_active(2)
