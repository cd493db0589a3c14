"""What tgtadm shows while it waits."""

import json

import pytest

from tgtcore.cli.exits import INTERRUPTED, reported
from tgtcore.cli.progress import Progress, line

PROGRESS = {
    "thing": "target t",
    "state": "going away",
    "left_s": 7.0,
    "count": 3,
    "holders": [{"holder": "nexus a", "age_s": 12.3}, {"holder": "task\x1b1", "age_s": 1.0}],
}


def test_a_line_names_the_holders_with_their_ages_and_counts_the_others() -> None:
    assert line(PROGRESS) == "target t is going away, 7 s left; in use by: nexus a (12 s), task?1 (1 s) and 1 more"


def test_a_line_says_when_the_time_is_over_and_nobody_is_left() -> None:
    over = {**PROGRESS, "left_s": 0.0, "count": 0, "holders": []}
    assert line(over) == "target t is going away, what waits is aborted; in use by: nobody"


def test_a_copy_is_a_bar() -> None:
    copy = {
        "thing": "snapshot one of logical unit a",
        "state": "being copied",
        "done_bytes": 3 << 29,
        "total_bytes": 2 << 30,
        "age_s": 30.0,
    }
    assert line(copy) == (
        "[###############.....] 75% of 2.0 GiB, about 10 s left: snapshot one of logical unit a is being copied"
    )
    assert line({**copy, "done_bytes": 0}).startswith("[....................] 0% of 2.0 GiB: ")
    assert line({**copy, "done_bytes": 0, "total_bytes": 0}).startswith("[####################] 100% of 0.0 GiB")


def test_programs_get_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(as_json=True) as progress:
        progress(PROGRESS)
    out, err = capsys.readouterr()
    assert (out, json.loads(err)) == ("", {"progress": PROGRESS})


def test_an_interrupted_command_says_that_the_daemon_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, reported():
        raise KeyboardInterrupt
    assert caught.value.code == INTERRUPTED
    assert "what the daemon was asked for goes on there" in capsys.readouterr().err


PLAN = {
    "plan": "p.toml",
    "done": 1,
    "steps": 3,
    "at_s": 2.5,
    "unit": "a",
    "what": "add slow",
    "outcome": None,
    "next_in_s": None,
}


def test_a_step_of_a_plan_is_a_line_that_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert line(PLAN) == "    2.5 s  step 1 of 3  a  add slow"
    assert line({**PLAN, "outcome": {"lost": 3}}).endswith('add slow: {"lost": 3}')
    assert line({**PLAN, "what": "", "next_in_s": 27.4}) == "    2.5 s  step 1 of 3, the next one in 27 s"
    with Progress() as progress:
        progress(PLAN)
    assert capsys.readouterr().err == "    2.5 s  step 1 of 3  a  add slow\n"
