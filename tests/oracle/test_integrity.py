"""Acknowledged means done, refused means not done, under logical unit resets and dropped sessions."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from oracle import harsh_stores, verifier
from oracle.mode_bits import tell_of_aborted_tasks
from oracle.served import Served

# Seconds of verified writing, all cases together.
_SECONDS = float(os.environ.get("TGTCORE_VERIFY_SECONDS", "60"))
_SHARE_S = _SECONDS / 3


@pytest.mark.timeout(_SHARE_S + 120)
def test_random_writes_survive_resets_and_dropped_sessions(daemon: Served) -> None:
    counts = verifier.run(daemon.url, _SHARE_S, dropping(daemon))
    print(counts)
    assert counts.wrong == []
    assert counts.writes > 300 * _SHARE_S, counts
    assert_disturbed(counts)
    assert counts.aborted_with_status == 0, "tasks that another initiator aborts end without a word, unless TAS is one"


@pytest.mark.timeout(_SHARE_S + 120)
def test_the_same_when_initiators_are_told_of_aborted_tasks(daemon: Served) -> None:
    counts = verifier.run(daemon.url, _SHARE_S, dropping(daemon), tell_of_aborted_tasks)
    print(counts)
    assert counts.wrong == []
    assert_disturbed(counts)
    assert counts.aborted_with_status > _SHARE_S, counts


@pytest.mark.timeout(_SHARE_S + 120)
def test_the_same_on_a_medium_that_takes_its_time(tmp_path: Path) -> None:
    with harsh_stores.served(tmp_path, "slow-file", "256M") as daemon:
        counts = verifier.run(daemon.url, _SHARE_S, dropping(daemon))
    print(counts)
    assert counts.wrong == []
    assert_disturbed(counts)


def assert_disturbed(counts: verifier.Counts) -> None:
    """There was enough of everything that may go wrong, and commands and their data-out were in the middle of it."""
    assert counts.resets_by_another > _SHARE_S, counts
    assert counts.resets_by_itself > _SHARE_S / 2, counts
    assert counts.drops_by_initiator > _SHARE_S / 2, counts
    assert counts.drops_by_target > _SHARE_S / 8, counts
    assert counts.ended_without_answer > 5 * _SHARE_S, counts
    assert counts.cut_in_data_out > 2 * _SHARE_S, counts
    assert counts.reads > 10 * _SHARE_S, counts


def dropping(daemon: Served) -> Callable[[], bool]:
    """A function that has the daemon drop one of the writers' sessions, and says whether there was one to drop."""

    def drop_one() -> bool:
        sessions = [one for one in daemon.admin("session", "list") if one["initiator"] == verifier.INITIATOR]
        if not sessions:
            return False
        newest = max(sessions, key=lambda one: int(one["id"]))["id"]
        try:
            daemon.admin("session", "drop", newest)
        except AssertionError as error:
            if f'there is no session called "{newest}"' not in str(error):
                raise
            return False  # its initiator was quicker
        return True

    return drop_one
