"""Seeded runs of the simulation, in which nothing may be wrong; a failing one says how to run it again."""

import pytest
from sim.simulate import first_failure, shrunk, simulation

pytestmark = pytest.mark.alike

_CHUNK, _CHUNKS = 10, 20
_SLOW_CHUNK, _SLOW_CHUNKS = 200, 50


def _check(seeds: range) -> None:
    with simulation():
        failed = first_failure(seeds)
        assert failed is None, shrunk(failed).report()


@pytest.mark.parametrize("chunk", range(_CHUNKS))
def test_nothing_is_wrong(chunk: int) -> None:
    _check(range(chunk * _CHUNK, (chunk + 1) * _CHUNK))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk", range(_SLOW_CHUNKS))
def test_nothing_is_wrong_in_ten_thousand_runs(chunk: int) -> None:
    _check(range(chunk * _SLOW_CHUNK, (chunk + 1) * _SLOW_CHUNK))
