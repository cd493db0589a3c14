import pytest

from tgtcore.scsi import asc
from tgtcore.scsi.parameters import ParameterError, ascii_field, need
from tgtcore.scsi.sense import Sense


def test_a_field_at_fault_is_pointed_at() -> None:
    sense = Sense.of(ParameterError("the PS bit is reserved", byte=12, bit=7).check_condition())
    assert sense.code == asc.INVALID_FIELD_IN_PARAMETER_LIST
    assert sense.field == (12, 7, False)


def test_a_truncated_list_is_a_length_error() -> None:
    sense = Sense.of(ParameterError("cut", byte=4, truncated=True).check_condition())
    assert sense.code == asc.PARAMETER_LIST_LENGTH_ERROR
    assert sense.field is None


def test_a_field_beyond_what_a_pointer_can_say_is_pointed_at_as_far_as_possible() -> None:
    error = ParameterError("far", byte=1 << 20).check_condition()
    assert Sense.of(error).fixed()[16:18] == b"\xff\xff"


def test_need_says_what_is_cut_and_where() -> None:
    need(b"1234", 4, "header")
    with pytest.raises(ParameterError, match="header needs 8 bytes, the data has 4") as caught:
        need(b"1234", 8, "header")
    assert caught.value.truncated
    assert caught.value.byte == 4


def test_texts_are_filled_with_spaces() -> None:
    assert ascii_field("vendor", "ACME", 8) == b"ACME    "


@pytest.mark.parametrize("text", ["ninechars", "caf\u00e9", "a\0b", "a\nb", "\x7f"])
def test_texts_that_no_field_can_hold(text: str) -> None:
    with pytest.raises(ValueError, match="vendor"):
        ascii_field("vendor", text, 8)
