import errno
import logging
from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_filters.commands.error import Error, ErrorOptions

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator

READ, WRITE, READY = "28 00 00000010 00 0004", "2a 00 00000010 00 0001", "00"


def use(unit: Any, **keys: Any) -> None:
    unit.use(Error(ErrorOptions(**keys)))


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("BUSY", Status.BUSY),
        ("task set full", Status.TASK_SET_FULL),
        ("RESERVATION_CONFLICT", Status.RESERVATION_CONFLICT),
        ("ACA ACTIVE", Status.ACA_ACTIVE),
        ("TASK ABORTED", Status.TASK_ABORTED),
    ],
)
def test_a_status(unit: Any, initiator: Initiator, written: str, status: Status) -> None:
    use(unit, commands="READ", status=written)
    result = initiator.execute(READ)
    assert (result.status, result.data, result.sense_bytes) == (status, b"", b"")
    assert initiator.execute(READY).status is Status.GOOD


def test_nothing_of_the_command_is_done(unit: Any, initiator: Initiator) -> None:
    use(unit, commands="WRITE", status="BUSY", count=1)
    assert initiator.execute(WRITE, b"x" * 512).status is Status.BUSY
    assert not any(initiator.execute(READ).data)
    assert initiator.execute(WRITE, b"x" * 512).status is Status.GOOD
    assert any(initiator.execute(READ).data)


@pytest.mark.parametrize("descriptor", [False, True])
def test_sense_data_in_the_format_that_was_chosen(unit: Any, initiator: Initiator, descriptor: bool) -> None:
    use(unit, sense="MEDIUM ERROR/unrecovered read error", commands="READ", lba="18-100")
    unit.lu.descriptor_sense = descriptor
    result = initiator.execute(READ)
    assert result.code == (SenseKey.MEDIUM_ERROR, *asc.UNRECOVERED_READ_ERROR)
    assert result.sense.information == 18
    assert result.sense_bytes[0] & 0x7F == (0x72 if descriptor else 0x70)


@pytest.mark.parametrize(
    ("sense", "cdb", "information"),
    [
        ("3/11/00", READ, 16),
        ("4/44/00", READ, 16),
        ("3/11/00", READY, None),
        ("B/08/00", READ, None),
        ("5/24/00", READ, None),
    ],
)
def test_the_block_is_told_where_sense_data_has_one(
    unit: Any, initiator: Initiator, sense: str, cdb: str, information: int | None
) -> None:
    use(unit, sense=sense)
    assert initiator.execute(cdb).sense.information == information


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("EIO", (SenseKey.MEDIUM_ERROR, *asc.UNRECOVERED_READ_ERROR)),
        ("enospc", (SenseKey.DATA_PROTECT, *asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT)),
        ("EROFS", (SenseKey.DATA_PROTECT, *asc.WRITE_PROTECTED)),
        ("ENOMEM", (SenseKey.ABORTED_COMMAND, *asc.INSUFFICIENT_RESOURCES)),
    ],
)
def test_an_error_of_the_system_is_what_the_core_makes_of_it(
    unit: Any, initiator: Initiator, caplog: pytest.LogCaptureFixture, name: str, code: tuple[int, int, int]
) -> None:
    use(unit, errno=name)
    for _ in range(3):
        assert initiator.execute(READ).code == code
    (logged,) = caplog.records
    assert logged.levelno == logging.WARNING
    assert f"[Errno {getattr(errno, name.upper())}]" in logged.getMessage()
    assert "READ (10)" in logged.getMessage()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "expected one of status, sense and errno, not none"),
        ({"status": "BUSY", "errno": "EIO"}, "expected one of status, sense and errno, not status and errno"),
        ({"status": "BUSSY"}, '"BUSSY" is no status that this filter answers; did you mean "BUSY"?'),
        ({"status": "GOOD"}, '"GOOD" is no status that this filter answers'),
        ({"status": "CHECK CONDITION"}, '"CHECK CONDITION" is no status that this filter answers'),
        ({"errno": "ENOSPCE"}, '"ENOSPCE" is no error of the system; did you mean "ENOSPC"?'),
        ({"sense": "1/00/00"}, "would tell initiators that the command was done"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ErrorOptions(**keys)
    assert message in str(caught.value)
