from collections.abc import Iterator

import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore.testing.initiator import Bench, Initiator, bench
from tgtcore.testing.ram import RamStore

SIZE = 1024 * 1024


@pytest.fixture
def store() -> RamStore:
    return RamStore(SIZE)


@pytest.fixture
def options() -> DiskOptions:
    """Overridden by parametrizing ``options`` directly."""
    return DiskOptions()


@pytest.fixture
def made(store: RamStore, options: DiskOptions) -> Iterator[Bench]:
    with bench() as made:
        made.add(Disk, store, options)
        yield made


@pytest.fixture
def initiator(made: Bench) -> Initiator:
    return made.initiator()


@pytest.fixture
def other(made: Bench) -> Initiator:
    return made.initiator("iqn.2025-01.example:other", port=1)


@pytest.fixture
def disk(made: Bench) -> Disk:
    device = made.lus[0].device
    assert isinstance(device, Disk)
    return device
