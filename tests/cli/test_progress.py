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
