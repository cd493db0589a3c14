"""Tests with a daemon run both ways: the iSCSI transport in the daemon, and in a process of its own behind a ring."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from oracle.served import Served


def run_both_ways(metafunc: pytest.Metafunc, folder: Path, once: Collection[str]) -> None:
    """Let the tests of a folder run both ways, but for those that choose themselves, and modules (without ``test_``)."""
    definition = metafunc.definition
    chosen = any("isolation" in mark.args[0] for mark in definition.iter_markers("parametrize"))
    if definition.path.is_relative_to(folder) and not chosen:
        one_way = definition.path.stem.removeprefix("test_") in once
        ways = ["none"] if one_way else ["none", "process"]
        metafunc.parametrize("isolation", ways, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def isolation(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the transports of the daemons of a test run."""
    Served.isolation = request.param
    yield request.param
    Served.isolation = "none"
