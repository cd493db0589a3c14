import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.errors import CheckCondition
from tgtcore.scsi import asc
from tgtcore.scsi.sense import Sense, SenseKey, parse_sense


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
