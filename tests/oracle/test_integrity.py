"""Acknowledged means done, refused means not done, under logical unit resets and dropped sessions."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from oracle import harsh_stores, verifier
from oracle.libiscsi import Session
from oracle.mode_bits import be_silent_about_aborted_tasks
from oracle.served import Served

from tgtcore.management.client import Client
from tgtcore.management.protocol import Code, VerbError

# Seconds of verified writing, all cases together.
_SECONDS = float(os.environ.get("TGTCORE_VERIFY_SECONDS", "60"))
_SHARE_S = _SECONDS / 3
_DROP_EVERY_S = 0.7


@pytest.mark.timeout(_SHARE_S + 120)
def test_random_writes_survive_resets_and_dropped_sessions(daemon: Served) -> None:
    counts = verified(daemon)
    assert counts.wrong == []
    assert counts.writes > 300 * _SHARE_S, counts
    assert_disturbed(counts)
    assert counts.aborted_with_status > _SHARE_S, counts


@pytest.mark.timeout(_SHARE_S + 120)
def test_the_same_when_initiators_are_not_told_of_aborted_tasks(daemon: Served) -> None:
    counts = verified(daemon, be_silent_about_aborted_tasks)
    assert counts.wrong == []
    assert_disturbed(counts)
    assert counts.ended_without_answer > 2 * counts.aborted_with_status, counts


@pytest.mark.timeout(_SHARE_S + 120)
def test_the_same_on_a_medium_that_takes_its_time(tmp_path: Path) -> None:
    with harsh_stores.served(tmp_path, "slow-file", "256M") as daemon:
        counts = verified(daemon)
    assert counts.wrong == []
    assert_disturbed(counts)


def verified(daemon: Served, before_reset: Callable[[Session], None] = lambda _: None) -> verifier.Counts:
    """One run of the verifier."""
    with dropping(daemon) as drop_one:
        counts = verifier.run(daemon.url, _SHARE_S, drop_one, before_reset)
    print(counts)
    return counts


def assert_disturbed(counts: verifier.Counts) -> None:
    """There was enough of everything that may go wrong, and commands and their data-out were in the middle of it."""
    assert counts.resets_by_another > _SHARE_S, counts
    assert counts.resets_by_itself > _SHARE_S / 4, counts
    assert counts.drops_by_initiator > _SHARE_S / 2, counts
    assert counts.drops_by_target > _SHARE_S / 4, counts
    assert counts.ended_without_answer > 5 * _SHARE_S, counts
    assert counts.cut_in_data_out > 2 * _SHARE_S, counts
    assert counts.reads > 10 * _SHARE_S, counts


@contextmanager
def dropping(daemon: Served) -> Iterator[Callable[[], bool]]:
    """A function that drops one of the writers' sessions, and says whether there was one to drop.

    It speaks to the daemon as tgtadm does, but does not start a program each time.
    """
    with Client(Path(daemon.socket)) as client:

        def drop_one() -> bool:
            time.sleep(_DROP_EVERY_S)
            sessions = [one for one in client.call("session list") if one["initiator"] == verifier.INITIATOR]
            if not sessions:
                return False
            try:
                client.call("session remove", {"id": random.choice(sessions)["id"], "force": True})
            except VerbError as error:
                if error.code is not Code.NOT_FOUND:  # its initiator was quicker
                    raise
                return False
            return True

        yield drop_one
