"""Discovery, sessions, CHAP both ways and digests with the kernel's own initiator."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import NAME, Initiator
from oracle.served import TARGET, Served

USER, SECRET = "reader", "a-secret-of-twenty-b"
USER_IN, SECRET_IN = "target", "another-secret-of-30"


_COPY = """
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
dd if=/tmp/data of={0} bs=1M oflag=direct && dd if={0} bs=1M count=8 iflag=direct | cmp - /tmp/data
"""


@pytest.fixture(scope="module")
def guarded(work: Path) -> Iterator[Served]:
    """One target that wants CHAP."""
    accounts = work / "chap"
    accounts.write_text(f"{USER} {SECRET}\n")
    accounts.chmod(0o600)
    with Served.disk(
        work, work / "guarded.img", options=("--size", "64M", "--chap-file", accounts), host="127.0.0.3"
    ) as served:
        yield served


@pytest.fixture(scope="module")
def mutual(work: Path) -> Iterator[Served]:
    """One target that proves itself as well."""
    accounts = work / "mutual"
    accounts.write_text(f"{USER} {SECRET}\n{USER_IN} {SECRET_IN} mutual\n")
    accounts.chmod(0o600)
    with Served.disk(
        work, work / "mutual.img", options=("--size", "64M", "--chap-file", accounts), host="127.0.0.4"
    ) as served:
        yield served


def test_discovery_names_the_target_and_a_usable_portal(initiator: Initiator, daemon: Served) -> None:
    host, port = daemon.portal
    assert initiator.discover(daemon.portal) == [(f"{host}:{port},1", TARGET)]


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


def test_a_login_without_chap_is_refused(initiator: Initiator, guarded: Served) -> None:
    assert "authorization" in initiator.refused(guarded.portal, TARGET)


@pytest.mark.provokes(r"conn error \(10(20|22)\)")
@pytest.mark.parametrize(("user", "secret"), [(USER, "a-wrong-secret-of-20"), ("nobody", SECRET)])
def test_chap_refuses_wrong_credentials(initiator: Initiator, guarded: Served, user: str, secret: str) -> None:
    assert "authorization" in initiator.refused(guarded.portal, TARGET, auth="CHAP", user=user, secret=secret)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA1", "SHA256", "SHA3-256"])
def test_chap_admits_the_right_secret(initiator: Initiator, guarded: Served, algorithm: str) -> None:
    options = {"auth": "CHAP", "user": USER, "secret": SECRET, "chap_algorithms": algorithm}
    with initiator.session(guarded.portal, TARGET, **options) as session:
        assert initiator.disk(session, 0).startswith("/dev/sd")


def test_mutual_chap_admits_both(initiator: Initiator, mutual: Served) -> None:
    options = {"auth": "CHAP", "user": USER, "secret": SECRET, "user_in": USER_IN, "secret_in": SECRET_IN}
    with initiator.session(mutual.portal, TARGET, **options) as session:
        assert initiator.disk(session, 0).startswith("/dev/sd")


@pytest.mark.provokes(r"conn error \(10(20|22)\)")
def test_mutual_chap_lets_the_initiator_refuse(initiator: Initiator, mutual: Served) -> None:
    said = initiator.refused(
        mutual.portal, TARGET, auth="CHAP", user=USER, secret=SECRET, user_in=USER_IN, secret_in="not-what-it-should-be"
    )
    assert "authorization" in said or "failure" in said
