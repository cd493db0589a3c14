import errno

import pytest
from pydantic import ValidationError
from tgtcore_filters.storage.torn import Torn, TornOptions

from tgtcore import NoOptions, ProvokedError, Store
from tgtcore.testing.layer import LayerConformance
from tgtcore.testing.ram import RamStore


class TestTornThatTearsNothing(LayerConformance):
    persistent = True
    examples = 10

    def make_layer(self, base: Store) -> Store:
        return Torn(base, TornOptions(probability=0))


def test_only_the_first_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made = Torn(RamStore(), TornOptions())
    for _ in range(3):
        with pytest.raises(ProvokedError):
            made.write(512, b"x" * 512)
    assert caplog.messages == ["[Errno 5] the filter torn has stopped a write at byte 512; its ledger has the others"]


def test_one_that_goes_lets_everything_through_until_it_stays_after_all() -> None:
    base = RamStore()
    made = Torn(base, TornOptions())
    made.stand_aside(True)
    made.write(0, b"x" * 512)
    made.write_through(512, b"x" * 512)
    assert base.content[:1024] == b"x" * 1024
    assert made.figures() == {"matched": 0, "chosen": 0, "ledger_entries": 0}
    made.stand_aside(False)
    with pytest.raises(OSError, match="filter torn has stopped a write"):
        made.write(0, b"y" * 512)


@pytest.mark.parametrize("how", ["write", "write_through"])
def test_a_chosen_write_stops_at_a_sector_and_fails(how: str) -> None:
    found = set()
    for seed in range(100):
        base = RamStore()
        made = Torn(base, TornOptions(seed=seed))
        with pytest.raises(OSError, match="filter torn has stopped a write at byte") as caught:
            getattr(made, how)(4096, b"x" * 2048)
        assert caught.value.errno == errno.EIO
        written = base.content.count(b"x")
        assert base.content[4096 : 4096 + written] == b"x" * written
        assert made.ledger(NoOptions())["entries"] == [
            {"strike": 1, "call": how, "offset": 4096, "length": 2048, "written": written}
        ]
        found.add(written)
    assert found == {0, 512, 1024, 1536}


def test_it_may_be_acknowledged_nevertheless() -> None:
    base = RamStore()
    made = Torn(base, TornOptions(outcome="acknowledged", count=1))
    made.write(0, b"x" * 65536)
    assert base.content.count(b"x") < 65536
    made.write(0, b"y" * 65536)
    assert base.content[:65536] == b"y" * 65536


def test_blocks_of_the_base_stay_whole() -> None:
    for seed in range(30):
        base = RamStore()
        base.block_bytes = 4096
        Torn(base, TornOptions(outcome="acknowledged", seed=seed)).write(0, b"x" * 65536)
        assert base.content.count(b"x") % 4096 == 0


def test_what_can_not_be_is_refused() -> None:
    for wrong in ({"sector": 1000}, {"outcome": "silence"}):
        with pytest.raises(ValidationError):
            TornOptions.model_validate(wrong)
