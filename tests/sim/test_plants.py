"""The simulation finds bugs: each of those that are planted here, within a few runs."""

import pytest
from sim.plants import PLANTS, Plant, answer_after_abort
from sim.simulate import first_failure, run, shrunk, simulation

_SEEDS = 100


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulation(), monkeypatch.context() as patch:
        plant(patch)
        assert first_failure(range(_SEEDS)) is not None


def test_a_failure_is_reported_with_the_way_to_run_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulation(), monkeypatch.context() as patch:
        PLANTS[0](patch)
        failed = first_failure(range(_SEEDS))
        assert failed is not None
        report = failed.report()
        assert report.startswith(f"seed {failed.seed}: ")
        assert f"python -m sim {failed.seed}\n" in report
        assert "FAILURE" in report


def test_a_failing_run_is_made_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulation(), monkeypatch.context() as patch:
        answer_after_abort(patch)
        failed = first_failure(range(_SEEDS))
        assert failed is not None
        shorter = shrunk(failed)
        assert len(shorter.operations) < len(failed.operations) / 2
        assert not run(shorter.seed, shorter.operations).passed
