"""How many files the daemon may open."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tgtcore.cli.descriptors import check_enough, raise_limit
from tgtcore.config import Config, LogicalUnitConfig, StoreConfig
from tgtcore.errors import ConfigError
from tgtcore.options import NoOptions


@pytest.fixture(autouse=True)
def _limits() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def with_images(count: int) -> Config:
    def unit(number: int) -> LogicalUnitConfig:
        store = StoreConfig("file", NoOptions(), None, frozenset({Path(f"/images/{number}")}))
        return LogicalUnitConfig(f"d{number}", "disk", NoOptions(), store, False, None, {})

    return Config(logical_units={f"d{number}": unit(number) for number in range(count)})


def test_the_daemon_takes_all_that_it_may_have() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most // 2, most))
    assert raise_limit() == most
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)


def test_more_images_than_can_be_open_are_refused_at_once() -> None:
    check_enough(with_images(36), 100)
    with pytest.raises(ConfigError, match=r"need 37 open files, .* may have 100: raise LimitNOFILE="):
        check_enough(with_images(37), 100)
