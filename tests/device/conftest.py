from collections.abc import Iterator

import pytest

from tgtcore.device import SharedCommands
from tgtcore.options import NoOptions
from tgtcore.testing.initiator import Bench, Initiator, bench


class Plain(SharedCommands):
    """A device that can do what every device can."""

    code = 0x03
    needs_store = False


@pytest.fixture
def made() -> Iterator[Bench]:
    with bench(threads=1) as made:
        made.add(Plain, options=NoOptions(), vendor="ACME", product="ANVIL", revision="1.0", serial="S-1")
        yield made


@pytest.fixture
def initiator(made: Bench) -> Initiator:
    return made.initiator()


@pytest.fixture
def other(made: Bench) -> Initiator:
    """A second nexus, through the second target port."""
    return made.initiator("iqn.2025-01.example:other", port=1)
