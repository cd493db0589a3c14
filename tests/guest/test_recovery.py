"""Sessions that break or move: reinstatement, a daemon that is killed under I/O and started again, redirection."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from guest.lab.verified import VerifiedWriter
from oracle.relay import Relay
from oracle.served import TARGET, Served

_TIMES = {"replacement_timeout": "60", "noop_interval": "1", "noop_timeout": "2"}
_BROKEN = r"conn error|ping timeout|Sense Key|Power-on"

_STORE = """
[logical_units.disk]
device_type = "disk"
store = {{ type = "file", path = "{image}", size = "64M", create = true }}

[transports.iscsi]
portals = [{{ address = "{portal}" }}]

[targets."{target}"]
transport = "iscsi"
luns = {{ 0 = "disk" }}
allow = {{ initiators = ["*"] }}
"""


@pytest.fixture
def served(work: Path) -> Iterator[Served]:
    with Served.disk(work, work / "reinstated.img", options=("--size", "64M"), host="127.0.0.2") as daemon:
        yield daemon


@pytest.mark.provokes(_BROKEN)
def test_a_session_that_the_daemon_thinks_alive_is_reinstated(
    guest: Guest, initiator: Initiator, served: Served
) -> None:
    with (
        Relay("127.0.0.5", served.portal) as relay,
        initiator.session(relay.address, TARGET, **_TIMES) as session,
    ):
        disk = initiator.disk(session, 0)
        guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d")
        with VerifiedWriter(guest, "/mnt/d") as writer:
            (before,) = served.admin("session", "list")
            relay.abandon()
            writer.wait_progress(timeout_s=40)
            (after,) = served.admin("session", "list")
        guest.run(f"umount /mnt/d && fsck.ext4 -f -n {disk}")
    assert after["details"]["isid"] == before["details"]["isid"]
    assert after["id"] != before["id"]
    assert served.admin("session", "list") == []
    assert served.admin("stat")["leases"] == []


@pytest.mark.provokes(_BROKEN)
def test_a_dropped_session_comes_back_under_io(guest: Guest, initiator: Initiator, served: Served) -> None:
    with initiator.session(served.portal, TARGET, **_TIMES) as session:
        disk = initiator.disk(session, 0)
        guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d")
        with VerifiedWriter(guest, "/mnt/d") as writer:
            for _ in range(3):
                (row,) = served.admin("session", "list")
                served.admin("session", "remove", row["id"])
                writer.wait_progress()
        guest.run(f"umount /mnt/d && fsck.ext4 -f -n {disk}")


@pytest.mark.provokes(_BROKEN)
def test_a_killed_daemon_that_starts_again_is_found_again(guest: Guest, initiator: Initiator, work: Path) -> None:
    image = work / "killed.img"
    with ExitStack() as daemons:
        first = configured(work, image, "127.0.0.3:0")
        daemons.callback(first.kill)
        host, port = portal_of(first)
        with initiator.session((host, port), TARGET, **_TIMES) as session:
            disk = initiator.disk(session, 0)
            guest.run(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt/d")
            with VerifiedWriter(guest, "/mnt/d") as writer:
                first.kill()
                daemons.enter_context(configured(work, image, f"{host}:{port}"))
                writer.wait_progress(timeout_s=40)
            guest.run(f"umount /mnt/d && fsck.ext4 -f -n {disk}")


@pytest.mark.provokes("conn error")  # the target closes the connection that it has redirected
@pytest.mark.parametrize("permanent", ["false", "true"], ids=["temporary", "permanent"])
def test_a_login_is_redirected(guest: Guest, initiator: Initiator, work: Path, permanent: str) -> None:
    with configured(work, work / f"moved-{permanent}.img", "127.0.0.3:0") as there:
        host, port = portal_of(there)
        redirect = f'redirect = "{host}:{port}"\nredirect_permanent = {permanent}\n'
        with configured(work, work / f"moved-away-{permanent}.img", "127.0.0.4:0", redirect) as here:
            asked, asked_port = portal_of(here)
            with initiator.session((asked, asked_port), TARGET) as session:
                disk = initiator.disk(session, 0)
                guest.run(f"dd if=/dev/urandom of={disk} bs=64k count=4 oflag=direct")
                said = guest.text(f"iscsiadm -m session -r {session} -P 1")
                assert f"Current Portal: {host}:{port}," in said
                assert f"Persistent Portal: {asked}:{asked_port}," in said
                assert here.admin("session", "list") == []
                assert len(there.admin("session", "list")) == 1


def configured(work: Path, image: Path, portal: str, more: str = "") -> Served:
    """A daemon with one disk on an image, at a portal that may be asked for again."""
    return Served.configured(work, _STORE.format(image=image, portal=portal, target=TARGET) + more)


def portal_of(served: Served) -> tuple[str, int]:
    """Address and port of the only portal."""
    (row,) = served.admin("portal", "list")
    host, port = row["address"].rsplit(":", 1)
    return host, int(port)
