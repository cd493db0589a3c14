import pytest

from tgtcore.scsi.status import Status


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.GOOD, 0x00),
        (Status.CHECK_CONDITION, 0x02),
        (Status.CONDITION_MET, 0x04),
        (Status.BUSY, 0x08),
        (Status.RESERVATION_CONFLICT, 0x18),
        (Status.TASK_SET_FULL, 0x28),
        (Status.ACA_ACTIVE, 0x30),
        (Status.TASK_ABORTED, 0x40),
    ],
)
def test_status_codes_are_those_of_sam_5(status: Status, code: int) -> None:
    assert status == code


def test_every_status_is_listed_above() -> None:
    assert len(Status) == 8
