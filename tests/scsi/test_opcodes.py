from enum import IntEnum

import pytest

from tgtcore.scsi import opcodes
from tgtcore.scsi.opcodes import SERVICE_ACTIONS, OperationCode


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x12, "INQUIRY"),
        (0x1A, "MODE_SENSE_6"),
        (0x42, "UNMAP"),
        (0x4D, "LOG_SENSE"),
        (0x5F, "PERSISTENT_RESERVE_OUT"),
        (0x89, "COMPARE_AND_WRITE"),
        (0x93, "WRITE_SAME_16"),
        (0xA0, "REPORT_LUNS"),
        (0xAA, "WRITE_12"),
    ],
)
def test_operation_codes_are_those_of_the_standards(code: int, name: str) -> None:
    assert OperationCode(code).name == name


@pytest.mark.parametrize(
    "enum", [value for value in vars(opcodes).values() if isinstance(value, type) and issubclass(value, IntEnum)]
)
def test_no_code_has_two_names(enum: type[IntEnum]) -> None:
    assert len(enum.__members__) == len(set(enum))


@pytest.mark.parametrize(("code", "actions"), SERVICE_ACTIONS.items())
def test_service_actions_fit_their_field(code: int, actions: type[IntEnum]) -> None:
    bits = 16 if code == OperationCode.VARIABLE_LENGTH else 5
    assert max(actions) < 1 << bits
