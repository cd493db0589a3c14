"""Who repeats himself fills no log."""

import logging

import pytest

from tgtcore import log_first

_log = logging.getLogger(__name__)


def test_only_the_first_are_logged_and_the_last_of_them_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger=__name__):
        for count in range(1, 6):
            log_first(_log, logging.WARNING, count, 3, "%s: %d of 100%%", "peer", count)
    last = "peer: 3 of 100%; more of this is not logged"
    assert caplog.messages == ["peer: 1 of 100%", "peer: 2 of 100%", last]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
