"""Our daemon with one thin disk, judged by programs that others wrote."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from oracle.served import Served

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.oracle)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Served]:
    """A thin disk of 1 GiB."""
    with Served.disk(tmp_path, tmp_path / "disk.img", options=("--size", "1G")) as served:
        yield served
