"""A guest for each module, and the kernel's own word after each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from guest.lab.kernel_log import complaints
from guest.lab.shell import Shell
from oracle.served import Served
from support.both_ways import isolation, run_both_ways

_HERE = Path(__file__).parent
_ONCE = {
    "lab",  # tests the harness
    "kernel_log",  # as before
    "commands",  # of the logical unit, which is the core's both ways; file systems use them behind a ring too
    "media",  # as before
    "crashes",  # as before
    "platform",  # of one transport, without a daemon
    "virtual_disks",  # takes long; that of Xen has ways of its own
    "guests",  # as before
    "unprivileged",  # as before
    "driver_domain",  # as before
    "restore",  # as before
    "behind_a_ring",  # chooses itself
}

__all__ = ["isolation"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "provokes(pattern): kernel messages that this test provokes on purpose")
    config.addinivalue_line("markers", "isolated: of a Xen guest whose back end is in a process of its own")
    config.addinivalue_line("markers", "served_with(*options): options of tgtd serve for this test's own disk")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(_HERE)]
    longest = {item for item in ours if item.path.is_relative_to(_HERE / "xen")}
    items.sort(key=lambda item: item not in longest)  # they begin first
    for item in ours:
        if "guest" in getattr(item, "fixturenames", ()):
            if item.get_closest_marker("xen") is None:
                item.add_marker(pytest.mark.guest)
            item.add_marker(pytest.mark.timeout(240))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    run_both_ways(metafunc, _HERE, _ONCE)


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    with Guest() as machine:
        yield machine


@pytest.fixture(scope="module")
def initiator(guest: Guest) -> Initiator:
    return Initiator(guest)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, isolation: str) -> Path:
    """A folder for each way, so that nothing outlives the change from one to the other."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def daemon(work: Path) -> Iterator[Served]:
    """Our daemon with one thin disk, at an address that means the same in the guest."""
    with Served.disk(work, work / "disk.img", options=("--size", "1G"), host="127.0.0.2") as served:
        yield served


@pytest.fixture(autouse=True)
def kernel_log(request: pytest.FixtureRequest, guest: Shell, work: Path) -> Iterator[None]:
    """The guest's kernel complains of nothing that the test does not provoke."""
    guest.run("dmesg -c >/dev/null")
    yield
    provoked = [mark.args[0] for mark in request.node.iter_markers("provokes")]
    said = guest.text("dmesg -c")
    found = complaints(said, provoked)
    if found:
        print(
            "load average:", *os.getloadavg(), "- date and uptime of the guest:", guest.text("date; cat /proc/uptime")
        )
        print("the kernel's log:", said[-30000:], sep="\n")
        print("the logs of the daemons:", Served.logs(work)[-30000:], sep="\n")
    assert not found, "the kernel says:\n" + "\n".join(found)
