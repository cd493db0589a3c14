import pytest
from tgtcore_filters.commands.sense_words import parse_code

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey


@pytest.mark.parametrize(
    ("text", "key", "code"),
    [
        ("3/11/00", SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR),
        ("3h/11h/00h", SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR),
        ("MEDIUM ERROR/unrecovered read error", SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR),
        ("medium_error/UNRECOVERED_READ_ERROR", SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR),
        ("HARDWARE ERROR/44/00", SenseKey.HARDWARE_ERROR, asc.INTERNAL_TARGET_FAILURE),
        ("5/invalid field in CDB", SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB),
        ("8/end-of-partition/medium detected", SenseKey.BLANK_CHECK, asc.END_OF_PARTITION_MEDIUM_DETECTED),
        ("6/power on, reset, or bus device reset occurred", SenseKey.UNIT_ATTENTION, asc.POWER_ON_OR_RESET_OCCURRED),
        ("b/80/ff", SenseKey.ABORTED_COMMAND, (0x80, 0xFF)),
    ],
)
def test_words_and_numbers(text: str, key: SenseKey, code: tuple[int, int]) -> None:
    assert parse_code(text) == (key, code)


@pytest.mark.parametrize("text", asc.TEXT.values())
def test_every_code_has_a_name(text: str) -> None:
    assert asc.TEXT[parse_code(f"MEDIUM ERROR/{text}")[1]] == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", '"3" is no sense; expected a sense key and an additional sense code, as in "3/11/00"'),
        ("MEDIUM EROR/11/00", '"MEDIUM EROR" is no sense key; did you mean "medium error"?'),
        ("C/11/00", '"C" is no sense key'),
        (
            "3/unrecoverd read error",
            '"unrecoverd read error" is no additional sense code; did you mean "unrecovered read error"?',
        ),
        ("3/", '"" is no additional sense code'),
        ("3/111/00", '"111/00" is no additional sense code'),
        ("0/00/00", "sense key NO SENSE would tell initiators that the command was done"),
        ("recovered error/17/00", "sense key RECOVERED ERROR would tell"),
        ("F/00/00", "sense key COMPLETED would tell"),
    ],
)
def test_what_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_code(text)
    assert message in str(caught.value)
