import pytest

from tgtcore.daemon.snapshot_names import SCHEDULED, is_scheduled, name_by_time, time_text
from tgtcore.store import SnapshotInfo

AT_NS = 1_700_000_000 * 10**9


def called(name: str, id: str = "1") -> SnapshotInfo:
    return SnapshotInfo(id, name, 0, 512)


def test_a_name_is_made_from_the_time() -> None:
    assert name_by_time([], AT_NS + 999) == "2023-11-14T22:13:20Z"


def test_no_name_is_given_twice() -> None:
    taken = [called("2023-11-14T22:13:20Z"), called("other", "2023-11-14T22:13:20Z.2")]
    assert name_by_time(taken, AT_NS) == "2023-11-14T22:13:20Z.3"


@pytest.mark.parametrize(
    ("name", "scheduled"),
    [
        (name_by_time([], AT_NS, SCHEDULED), True),
        (name_by_time([called("scheduled-2023-11-14T22:13:20Z")], AT_NS, SCHEDULED), True),
        (name_by_time([], AT_NS), False),
        ("scheduled-", False),
        ("scheduled-for-deletion", False),
        ("my scheduled-2023-11-14T22:13:20Z", False),
        ("scheduled-2023-11-14T22:13:20Z of mine", False),
    ],
)
def test_those_of_a_schedule_are_recognised(name: str, scheduled: bool) -> None:
    assert is_scheduled(called(name)) is scheduled


def test_a_time_that_can_not_be_is_told_all_the_same() -> None:
    assert time_text(10**30) == f"{10**30} ns after 1970"
