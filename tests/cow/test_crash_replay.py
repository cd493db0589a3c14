"""Power cuts: whatever a disk may have of what was written until some moment, it is an image that has lost nothing.

Errors are defects, leaks are not: a check gives them back.
"""

from collections import UserList
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from cow.crashes import Replay, Run
from cow.judges import Judge, OwnJudge, QemuJudge
from cow.recording import FLUSH, Log
from cow.scenes import SCENES
from tgtcore_cow.qcow2 import leftovers
from tgtcore_cow.qcow2.volume import Volume

pytestmark = pytest.mark.alike

_SEED = 4
_OPERATIONS = 60
_CUTS = -(-1000 // len(SCENES))


def _replay(run: Run, judge: Judge) -> None:
    Replay(run, judge).every_prefix()
    replay = Replay(run, judge)
    replay.some_of_what_was_not_flushed(_CUTS)
    assert replay.cuts == _CUTS


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_lost_by_a_power_cut(scene: str) -> None:
    _replay(SCENES[scene].run(_SEED, _OPERATIONS), OwnJudge())


@pytest.mark.parametrize("scene", ["snapshots", "tables shared with a snapshot"])
def test_nothing_is_lost_while_snapshots_go_in_steps(scene: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "ENTRIES_AT_ONCE", 16)
    _replay(SCENES[scene].run(_SEED + 1, _OPERATIONS), OwnJudge())


@pytest.mark.oracle
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_lost_by_a_power_cut_in_the_eyes_of_qemu(scene: str, tmp_path: Path) -> None:
    _replay(SCENES[scene].run(_SEED + 1, _OPERATIONS), QemuJudge(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scene", SCENES)
def test_nothing_is_lost_by_a_power_cut_in_long_runs(scene: str) -> None:
    for seed in range(_SEED + 2, _SEED + 5):
        _replay(SCENES[scene].run(seed, 4 * _OPERATIONS), OwnJudge())


def test_runs_meet_everything_that_must_move_or_grow() -> None:
    """Else the tests above would prove little."""
    met = set()
    for scene in ("snapshots", "growing refcount table"):
        run = SCENES[scene].run(_SEED, _OPERATIONS)
        before, after = run.before.open().header, run.files.open().header
        longest = max(len(step.content) for step in run.steps)
        happened = {
            "the L1 table moves": after.l1_offset != before.l1_offset,
            "the L1 table grows": longest > before.l1_entries * before.layout.bytes_per_l2,
            "the refcount table moves": after.refcount_table_offset != before.refcount_table_offset,
            "the refcount table grows": after.refcount_table_clusters > before.refcount_table_clusters,
            "there are snapshots at the end": after.snapshots > 0,
        }
        met |= {what for what, true in happened.items() if true}
    assert met == happened.keys()


# ---- the judgement bites --------------------------------------------------------------------------------------------


def _flushes_of_two(log: Log) -> Log:
    flushes = [at for at, event in enumerate(log.events) if event.kind == FLUSH]
    return log.without(flushes[::2])


def _never_flushes(log: Log) -> Log:
    return log.without(at for at, event in enumerate(log.events) if event.kind == FLUSH)


def _notices(run: Run, log: Log) -> str:
    try:
        Replay(run, OwnJudge(), log).every_prefix()
        Replay(run, OwnJudge(), log).some_of_what_was_not_flushed(1000)
    except AssertionError as noticed:
        return str(noticed)
    return "nothing"


@pytest.mark.parametrize("wrong", [_flushes_of_two, _never_flushes, Log.with_epochs_exchanged])
def test_who_flushes_too_seldom_or_in_the_wrong_order_is_found_out(wrong: Callable[[Log], Log]) -> None:
    run = SCENES["snapshots"].run(_SEED, _OPERATIONS)
    assert "after event" in _notices(run, wrong(run.log))


class _FreedAtOnce(UserList[int]):
    """Takes clusters that the map in memory does not refer to any more; the map on the disk still does."""

    def __init__(self, volume: Volume) -> None:
        super().__init__()
        self._volume = volume

    def append(self, cluster: int) -> None:
        self._volume.refcounts.add([cluster], -1)

    def __iadd__(self, clusters: Iterable[int]) -> "_FreedAtOnce":
        for cluster in clusters:
            self.append(cluster)
        return self


def test_who_uses_freed_clusters_at_once_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    freed_at_once = property(_FreedAtOnce, lambda volume, value: None)
    monkeypatch.setattr(Volume, "retired", freed_at_once, raising=False)
    run = SCENES["freeing and taking"].run(_SEED, _OPERATIONS)
    monkeypatch.undo()
    assert "after event" in _notices(run, run.log)
