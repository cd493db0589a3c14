import pytest
from tgtcore_cow.overlay import block_map
from tgtcore_cow.overlay.block_map import BASE, OWN, ZERO, BlockMap, Run, block_bytes_for


@pytest.fixture(params=[3, 1 << 20])
def states(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> BlockMap:
    """Looked at in pieces of three blocks, and as a whole."""
    monkeypatch.setattr(block_map, "_PIECE_BLOCKS", request.param)
    return BlockMap(16)


def merged(states: BlockMap, first: int, beyond: int) -> list[Run]:
    found: list[Run] = []
    for run in states.runs(first, beyond):
        if found and found[-1].state == run.state and found[-1].beyond == run.first:
            found[-1] = found[-1]._replace(beyond=run.beyond)
        else:
            found.append(run)
    return found


def test_all_blocks_are_those_of_the_base_at_first(states: BlockMap) -> None:
    assert states.states(0, 16) == BASE * 16
    assert states.own == 0


def test_runs_are_told_in_order(states: BlockMap) -> None:
    states.set(OWN, 2, 7)
    states.set(ZERO, 5, 9)
    assert merged(states, 0, 16) == [Run(BASE, 0, 2), Run(OWN, 2, 5), Run(ZERO, 5, 9), Run(BASE, 9, 16)]
    assert merged(states, 3, 6) == [Run(OWN, 3, 5), Run(ZERO, 5, 6)]


def test_blocks_of_its_own_are_counted_once(states: BlockMap) -> None:
    states.set(OWN, 2, 7)
    states.set(OWN, 4, 10)
    assert (states.own, states.count_own(0, 16), states.count_own(3, 5)) == (8, 8, 2)
    states.set(ZERO, 0, 3)
    assert (states.own, states.count_own(0, 16)) == (7, 7)


def test_more_blocks_are_zeroes_and_less_are_counted_no_more(states: BlockMap) -> None:
    states.set(OWN, 2, 7)
    states.resize(20)
    assert merged(states, 0, 20) == [Run(BASE, 0, 2), Run(OWN, 2, 7), Run(BASE, 7, 16), Run(ZERO, 16, 20)]
    states.resize(4)
    assert merged(states, 0, 4) == [Run(BASE, 0, 2), Run(OWN, 2, 4)]
    assert states.own == 2
    states.resize(8)
    assert merged(states, 0, 8) == [Run(BASE, 0, 2), Run(OWN, 2, 4), Run(ZERO, 4, 8)]


@pytest.mark.parametrize(
    ("size_bytes", "least", "expected"),
    [
        (1, 4096, 4096),
        (1 << 38, 4096, 4096),
        ((1 << 38) + 1, 4096, 8192),
        (1 << 44, 4096, 1 << 18),
        (1 << 20, 65536, 65536),
    ],
)
def test_blocks_are_as_small_as_the_map_lets_them(size_bytes: int, least: int, expected: int) -> None:
    assert block_bytes_for(size_bytes, least) == expected
