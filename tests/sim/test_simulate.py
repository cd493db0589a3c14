import os
import subprocess
import sys
from pathlib import Path

import pytest
from sim.simulate import run, simulation

_TESTS = Path(__file__).parents[1]
_SEEDS = (0, 3, 8)


@pytest.mark.parametrize("seed", _SEEDS)
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    with simulation():
        first, other, second = (run(one, digest=True) for one in (seed, seed + 1, seed))
    assert first.passed
    assert first.digest == second.digest != other.digest


def test_the_order_in_sets_does_not_matter() -> None:
    """Python hashes strings with another secret in each process."""

    def digest(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(_TESTS)}
        command = [sys.executable, "-m", "sim", "5"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=True)
        return done.stdout.split()[-1]

    first, second = digest("1"), digest("2")
    assert len(first) == 64
    assert first == second
