import pytest

from tgtcore.scsi import asc

CONSTANTS = {name: value for name, value in vars(asc).items() if name.isupper() and name != "TEXT"}


def test_every_constant_has_a_code_and_a_text_of_its_own() -> None:
    assert len(asc.TEXT) == len(CONSTANTS)
    assert set(CONSTANTS.values()) == set(asc.TEXT)
    assert len(set(asc.TEXT.values())) == len(asc.TEXT)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (asc.LOGICAL_UNIT_NOT_SUPPORTED, (0x25, 0x00)),
        (asc.REPORTED_LUNS_DATA_HAS_CHANGED, (0x3F, 0x0E)),
        (asc.CAPACITY_DATA_HAS_CHANGED, (0x2A, 0x09)),
        (asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT, (0x27, 0x07)),
        (asc.MISCOMPARE_DURING_VERIFY_OPERATION, (0x1D, 0x00)),
        (asc.PARAMETER_LIST_LENGTH_ERROR, (0x1A, 0x00)),
        (asc.INSUFFICIENT_REGISTRATION_RESOURCES, (0x55, 0x04)),
        (asc.I_T_NEXUS_LOSS_OCCURRED, (0x29, 0x07)),
    ],
)
def test_codes_are_those_of_spc_5(code: tuple[int, int], expected: tuple[int, int]) -> None:
    assert code == expected


def test_the_text_has_the_numbers() -> None:
    assert asc.text(asc.INVALID_FIELD_IN_CDB) == "invalid field in CDB (24h/00h)"
    assert asc.text((0xA1, 0xB2)) == "unknown additional sense (A1h/B2h)"


@pytest.mark.parametrize("code", asc.TEXT)
def test_codes_fit_their_bytes(code: tuple[int, int]) -> None:
    assert bytes(code)
