"""libiscsi's conformance suite against one thin LUN."""

import pytest
from oracle import cu_score
from oracle.served import Served

# Tests that fail by an error of the suite itself: name -> the clause of the standard that it contradicts.
SUITE_ERRORS: dict[str, str] = {}
_LEAST_PASSED = 185

_LOG = """
Suite: Inquiry
  Test: Standard ...passed
  Test: BlockLimits ...
    [SKIPPED] not thin
passed
Suite: Read10
  Test: Simple ...
    [FAILED] READ10 failed
FAILED
    1. test_read10.c:10  - CU_ASSERT_EQUAL(ret,0)
  Test: Cut ...
"""


def test_a_log_is_read_test_by_test() -> None:
    score = cu_score.read_log(_LOG)
    assert {name: outcome.column for name, outcome in score.outcomes.items()} == {
        "Inquiry.Standard": "passed",
        "Inquiry.BlockLimits": "skipped",
        "Read10.Simple": "failed",
        "Read10.Cut": "failed",
    }
    assert not score.ended


@pytest.mark.timeout(600)
def test_nothing_fails_on_a_thin_disk(daemon: Served) -> None:
    score = cu_score.run([daemon.url])
    assert score.ended, score.report()
    assert set(score.names("failed")) - set(SUITE_ERRORS) == set(), score.report()
    assert len(score.names("passed")) >= _LEAST_PASSED, score.report()
