"""Sessions and digests with the kernel's own initiator."""

import itertools

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import NAME, Initiator
from oracle.served import TARGET, Served

_COPY = """
dd if=/dev/urandom of=/tmp/data bs=1M count=2 2>/dev/null
dd if=/tmp/data of={0} bs=1M oflag=direct && dd if={0} bs=1M count=2 iflag=direct | cmp - /tmp/data
"""


def test_a_session_brings_its_disk_and_goes_again(guest: Guest, initiator: Initiator, daemon: Served) -> None:
    with initiator.session(daemon.portal, TARGET) as session:
        disk = initiator.disk(session, 0)
        assert guest.text(f"blockdev --getsize64 {disk}") == str(1 << 30)
        (seen,) = daemon.admin("session", "list")
        assert NAME in str(seen)
    assert guest.run(f"test -b {disk}", check=False).status != 0
    assert daemon.admin("session", "list") == []


def test_a_session_can_be_rescanned(guest: Guest, initiator: Initiator, daemon: Served) -> None:
    with initiator.session(daemon.portal, TARGET) as session:
        guest.run(f"iscsiadm -m session -r {session} --rescan")
        state = guest.text(f"iscsiadm -m session -r {session} -P 1")
    assert "LOGGED IN" in state
    assert TARGET in state


@pytest.mark.provokes(r"conn error \(1020\)")  # by iscsid itself, when it takes the session over
def test_iscsistart_logs_in_without_iscsid(guest: Guest, initiator: Initiator, daemon: Served) -> None:
    host, port = daemon.portal
    initiator.record(daemon.portal, TARGET)
    guest.run("killall iscsid; within 10 sh -c '! pidof iscsid'")
    try:
        guest.run(f"iscsistart -i {NAME} -t {TARGET} -g 1 -a {host} -p {port}", timeout_s=60)
        (session,) = initiator.sessions()
        initiator.disk(session, 0)
    finally:
        guest.run(f"start_iscsid {NAME}")
    guest.run("within 10 sh -c 'iscsiadm -m session -P 1 | grep -q LOGGED'")
    initiator.logout(session)
    assert initiator.sessions() == set()


@pytest.mark.parametrize(("header", "data"), list(itertools.product(("None", "CRC32C"), repeat=2)))
def test_digests_are_used_and_data_survives(
    guest: Guest, initiator: Initiator, daemon: Served, header: str, data: str
) -> None:
    with initiator.session(daemon.portal, TARGET, header_digest=header, data_digest=data) as session:
        connection = f"/sys/class/iscsi_connection/connection{session}:0"
        used = guest.text(f"cat {connection}/header_digest {connection}/data_digest").split()
        assert used == [str(int(digest == "CRC32C")) for digest in (header, data)]
        guest.run(_COPY.format(initiator.disk(session, 0)))
