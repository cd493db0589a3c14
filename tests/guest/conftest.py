"""A guest for each module, and the kernel's own word after each test."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from oracle.served import Served
from support.both_ways import isolation, run_both_ways

_ALARM = re.compile(
    r"conn error|hung task|blocked for more than|timing out|Sense Key|I/O error|\bBUG\b|Call Trace|"
    r"rejecting I/O|Medium access timeout|ping timeout|EXT4-fs error|XFS .*(?:error|corrupt)",
    re.I,
)
_HERE = Path(__file__).parent
_ONCE = {
    "lab",  # tests the harness
    "commands",  # of the logical unit, which is the core's both ways; file systems use them behind a ring too
    "media",  # as before
    "crashes",  # as before
    "platform",  # of one transport, without a daemon
}

__all__ = ["isolation"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "provokes(pattern): kernel messages that this test provokes on purpose")
    config.addinivalue_line("markers", "served_with(*options): options of tgtd serve for this test's own disk")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
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
def kernel_log(request: pytest.FixtureRequest, guest: Guest) -> Iterator[None]:
    """The guest's kernel complains of nothing that the test does not provoke."""
    guest.run("dmesg -c >/dev/null")
    yield
    allowed = [mark.args[0] for mark in request.node.iter_markers("provokes")]
    said = guest.text("dmesg -c")
    lines = [line for line in said.splitlines() if _ALARM.search(line)]
    unexpected = [line for line in lines if not any(re.search(pattern, line) for pattern in allowed)]
    if unexpected:
        print(said[-30000:])
    assert not unexpected, "the kernel says:\n" + "\n".join(unexpected)
