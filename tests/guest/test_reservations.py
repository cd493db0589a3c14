"""Persistent reservations as a cluster uses them: two I_T nexuses of a Linux kernel, sg_persist, and I/O that is fenced off."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import NAME, Initiator
from oracle.served import TARGET, Served

_WRITE_EXCLUSIVE_REGISTRANTS, _EXCLUSIVE_ACCESS = 5, 3
_ONE, _OTHER = "0xaaa", "0xbbb"
_CONFLICT = r"reservation conflict|critical nexus error|I/O error|Sense Key|Add. Sense"


@dataclass(frozen=True)
class Node:
    """One member of the cluster: a disk seen over a session of its own."""

    guest: Guest
    disk: str
    key: str

    def register(self, *more: str) -> None:
        """Register the node's key, whatever was registered before."""
        self.out("--register-ignore", f"--param-sark={self.key}", *more)

    def out(self, *options: str, status: int = 0) -> None:
        """PERSISTENT RESERVE OUT, which must end with this exit status of sg_persist."""
        done = self.guest.run(f"sg_persist --out {' '.join(options)} {self.disk}", check=False)
        assert done.status == status, done.text

    def seen(self, *options: str) -> str:
        """What PERSISTENT RESERVE IN answers."""
        return self.guest.text(f"sg_persist --in {' '.join(options)} {self.disk}")

    @property
    def key_options(self) -> str:
        """How sg_persist is told the node's key."""
        return f"--param-rk={self.key}"

    def told(self) -> str:
        """The unit attention that waits for this node, if there is one."""
        return self.guest.run(f"sg_turs -vv {self.disk}", check=False).text

    def can_read(self) -> bool:
        """Whether a read ends well."""
        return self._moves(f"if={self.disk} of=/dev/null iflag=direct")

    def can_write(self) -> bool:
        """Whether a write ends well."""
        return self._moves(f"if=/dev/zero of={self.disk} oflag=direct")

    def _moves(self, operands: str) -> bool:
        return self.guest.run(f"dd bs=4k count=1 {operands}", check=False).status == 0


@pytest.fixture(scope="module")
def served(work: Path) -> Iterator[Served]:
    with Served.disk(work, work / "shared.img", options=("--size", "64M"), host="127.0.0.2") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def disks(guest: Guest, initiator: Initiator, served: Served) -> Iterator[list[str]]:
    """One disk, seen over two sessions."""
    record = initiator.record(served.portal, TARGET)
    guest.run(
        f"iscsiadm {record} -o update -n node.session.nr_sessions -v 2 && iscsiadm {record} --login", timeout_s=90
    )
    sessions = sorted(initiator.sessions())
    yield [initiator.disk(session, 0) for session in sessions]
    for session in sessions:
        initiator.logout(session)


@pytest.fixture
def nodes(guest: Guest, disks: list[str]) -> Iterator[tuple[Node, Node]]:
    """Two registered nodes; nothing is registered or reserved afterwards."""
    one, other = (Node(guest, disk, key) for disk, key in zip(disks, (_ONE, _OTHER), strict=True))
    for node in (one, other):
        node.register()
    yield one, other
    one.register()
    one.out("--clear", one.key_options)
    for node in (one, other):
        node.told()


def test_full_status_names_both_nexuses(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.out("--reserve", one.key_options, f"--prout-type={_WRITE_EXCLUSIVE_REGISTRANTS}")
    status = one.seen("--read-full-status")
    assert f"Key={_ONE}" in status
    assert f"Key={_OTHER}" in status
    assert status.count(NAME) == 2
    assert status.count("Reservation holder") == 1
    assert "Write Exclusive, registrants only" in other.seen("--read-reservation")


@pytest.mark.provokes(_CONFLICT)
def test_who_is_not_registered_is_fenced_off(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.out("--reserve", one.key_options, f"--prout-type={_WRITE_EXCLUSIVE_REGISTRANTS}")
    assert other.can_write()
    other.out("--register", other.key_options, "--param-sark=0")
    assert other.can_read()
    assert not other.can_write()
    assert one.can_write()


@pytest.mark.provokes(_CONFLICT)
def test_exclusive_access_and_its_release(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.out("--reserve", one.key_options, f"--prout-type={_EXCLUSIVE_ACCESS}")
    assert not other.can_read()
    other.out("--reserve", other.key_options, f"--prout-type={_EXCLUSIVE_ACCESS}", status=24)
    one.out("--release", one.key_options, f"--prout-type={_EXCLUSIVE_ACCESS}")
    assert other.can_read()
    assert "there is NO reservation held" in other.seen("--read-reservation")


@pytest.mark.provokes(_CONFLICT)
@pytest.mark.parametrize("action", ["--preempt", "--preempt-abort"])
def test_preempting_takes_the_reservation_and_the_registration(nodes: tuple[Node, Node], action: str) -> None:
    one, other = nodes
    reservation = f"--prout-type={_WRITE_EXCLUSIVE_REGISTRANTS}"
    one.out("--reserve", one.key_options, reservation)
    other.out(action, other.key_options, f"--param-sark={_ONE}", reservation)
    assert f"Key={_OTHER}" in other.seen("--read-reservation")
    assert _ONE not in other.seen("--read-keys")
    assert "Registrations preempted" in one.told()
    assert not one.can_write()
    assert other.can_write()


@pytest.mark.provokes(_CONFLICT)
def test_clearing_leaves_nothing(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.out("--reserve", one.key_options, f"--prout-type={_EXCLUSIVE_ACCESS}")
    other.out("--clear", other.key_options)
    assert "Reservations preempted" in one.told()
    assert "there are NO registered reservation keys" in one.seen("--read-keys")
    assert "there is NO reservation held" in one.seen("--read-reservation")
    assert one.can_write()
    assert other.can_write()


def test_a_wrong_key_changes_nothing(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.out("--reserve", one.key_options, f"--prout-type={_EXCLUSIVE_ACCESS}")
    other.out("--preempt", "--param-rk=0xccc", f"--param-sark={_ONE}", f"--prout-type={_EXCLUSIVE_ACCESS}", status=24)
    assert f"Key={_ONE}" in other.seen("--read-reservation")


def test_capabilities_name_every_type(nodes: tuple[Node, Node]) -> None:
    text = nodes[0].seen("--report-capabilities")
    for kind in ("Write Exclusive", "Exclusive Access"):
        for registrants in ("", ", registrants only", ", all registrants"):
            assert f"{kind}{registrants}: 1" in text


@pytest.mark.provokes(_CONFLICT)  # the kernel looks for partitions of a disk that is reserved
def test_a_reservation_survives_the_daemon_where_it_was_asked_to(
    guest: Guest, initiator: Initiator, work: Path
) -> None:
    def serve() -> Served:
        return Served.disk(work, work / "kept.img", options=("--size", "16M"), host="127.0.0.3")

    first = serve()
    try:
        with initiator.session(first.portal, TARGET) as session:
            node = Node(guest, initiator.disk(session, 0), _ONE)
            node.register("--param-aptpl")
            node.out("--reserve", node.key_options, f"--prout-type={_EXCLUSIVE_ACCESS}")
    finally:
        first.kill()
    with serve() as second, initiator.session(second.portal, TARGET) as session:
        node = Node(guest, initiator.disk(session, 0), _ONE)
        assert f"Key={_ONE}" in node.seen("--read-reservation")
        node.register()
        node.out("--clear", node.key_options)
