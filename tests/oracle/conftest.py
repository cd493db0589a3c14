"""Our daemon with one thin disk, judged by programs that others wrote."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from oracle.served import Served
from support.both_ways import isolation, run_both_ways

_HERE = Path(__file__).parent
_ONCE = {
    "contents",  # needs no daemon
    "qcow2_creation",  # images in files, without a daemon, as the three below
    "locks",
    "qcow2_chain",
    "qcow2_check",
    "ring_driver",  # its transport has no other way
    "systemd",  # the service manager's sockets are the daemon's, and handed on like a successor's
    "hostile_drivers",  # beside a transport in the daemon, which is the most exposed
    "killed_drivers",  # kills those of a transport that always has a process of its own
    "scale",  # measures the daemon; sessions and logical units are the core's
}
_ALONE = {
    "integrity",  # counts what is done in a second
    "killed_drivers",  # measures how soon what they held is taken back
    "scale",
    "slow_peers",
}

__all__ = ["isolation"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.oracle)
            if item.path.stem.removeprefix("test_") in _ALONE:
                item.add_marker(pytest.mark.alone)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    run_both_ways(metafunc, _HERE, _ONCE)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    """A thin disk of 1 GiB."""
    with Served.disk(tmp_path, tmp_path / "disk.img", options=("--size", "1G")) as served:
        yield served
