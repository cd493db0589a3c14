import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.errors import CheckCondition
from tgtcore.scsi import asc
from tgtcore.scsi.parameters import ParameterError
from tgtcore.scsi.sense import FieldPointer, Sense, SenseKey, parse_sense


def test_fixed_format_has_every_field_in_its_place() -> None:
    sense = Sense.of(CheckCondition(0x5, asc.INVALID_FIELD_IN_CDB, field=(2, 3)))
    assert sense.fixed().hex() == "700005000000000a00000000240000cb0002"


def test_descriptor_format_has_every_field_in_its_place() -> None:
    sense = Sense.of(CheckCondition(0x5, asc.INVALID_FIELD_IN_CDB, field=(2, 3)))
    assert sense.descriptor().hex() == "7205240000000008" + "02060000cb000200"


@given(
    st.sampled_from([SenseKey.MEDIUM_ERROR, SenseKey.MISCOMPARE, SenseKey.UNIT_ATTENTION]),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
    st.none() | st.integers(0, 0xFFFFFFFF),
    st.booleans(),
)
def test_both_formats_survive_the_trip(
    key: SenseKey, code: tuple[int, int], information: int | None, deferred: bool
) -> None:
    sense = Sense(key, code, information=information, deferred=deferred)
    assert parse_sense(sense.fixed()) == sense
    assert parse_sense(sense.descriptor()) == sense


def test_information_that_needs_64_bits_is_left_out_of_fixed_format() -> None:
    sense = Sense(SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR, information=1 << 40)
    assert parse_sense(sense.fixed()).information is None
    assert parse_sense(sense.descriptor()).information == 1 << 40


@pytest.mark.parametrize("data", [b"", bytes(4), b"\x12" * 18])
def test_what_is_no_sense_data(data: bytes) -> None:
    with pytest.raises(ValueError, match="sense"):
        parse_sense(data)


def test_descriptions_name_the_error() -> None:
    assert "invalid field in CDB" in Sense(SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB).describe()


ILLEGAL = (SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_PARAMETER_LIST)
NOT_READY = (SenseKey.NOT_READY, asc.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS)
END = (SenseKey.NO_SENSE, asc.FILEMARK_DETECTED)


@pytest.mark.parametrize(
    "sense",
    [
        Sense(*ILLEGAL, field=FieldPointer(8, None, False)),
        Sense(*ILLEGAL, field=FieldPointer(8, 0, False)),
        Sense(*ILLEGAL, field=FieldPointer(0xFFFF, 7, True)),
        Sense(*NOT_READY, progress=0),
        Sense(*NOT_READY, progress=0xFFFF),
        Sense(*END, filemark=True, end_of_medium=True, incorrect_length=True, information=3),
        Sense(SenseKey.COPY_ABORTED, asc.COPY_TARGET_DEVICE_NOT_REACHABLE, command_specific=7),
    ],
    ids=Sense.describe,
)
def test_every_field_survives_the_trip(sense: Sense) -> None:
    assert parse_sense(sense.fixed()) == sense
    assert parse_sense(sense.descriptor()) == sense


def test_a_field_pointer_is_sent_with_illegal_request_only() -> None:
    sense = Sense(SenseKey.MEDIUM_ERROR, asc.WRITE_ERROR, field=FieldPointer(1, 1, True))
    assert parse_sense(sense.fixed()).field is None
    assert sense.descriptor().hex() == "72030c0000000000"


def test_the_format_is_chosen_by_a_flag() -> None:
    sense = Sense(*END)
    assert sense.encode(True) == sense.descriptor()
    assert sense.encode(False) == sense.fixed()


@given(st.integers(0x70, 0x73), st.binary(max_size=64))
def test_parsing_ends_with_a_value_or_a_parameter_error(response: int, rest: bytes) -> None:
    try:
        sense = parse_sense(bytes((response,)) + rest)
    except ParameterError as error:
        assert 0 <= error.byte <= len(rest) + 1
    else:
        assert sense.deferred == bool(response & 1)


@pytest.mark.parametrize("encoded", [Sense(*NOT_READY, progress=1, information=2).descriptor(), Sense(*END).fixed()])
def test_every_truncation_is_noticed(encoded: bytes) -> None:
    for end in range(len(encoded)):
        with pytest.raises(ParameterError) as caught:
            parse_sense(encoded[:end])
        assert caught.value.truncated


def test_descriptions_have_all_that_is_known() -> None:
    sense = Sense(*ILLEGAL, field=FieldPointer(4, 7, False), information=16, deferred=True)
    expected = "illegal request, invalid field in parameter list (26h/00h), parameter list byte 4 bit 7"
    assert sense.describe() == expected + ", information 0x10, deferred"
    assert Sense(*NOT_READY, progress=0x8000).describe().endswith("progress 50%")
