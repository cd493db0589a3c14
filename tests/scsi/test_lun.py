import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.scsi.lun import REPORT_LUNS_WELL_KNOWN, InvalidLun, decode_lun, encode_lun


@given(st.integers(0, 16383))
def test_every_lun_survives_the_trip(lun: int) -> None:
    assert decode_lun(encode_lun(lun)) == lun


@pytest.mark.parametrize(
    ("field", "lun"),
    [
        ("0000000000000000", 0),
        ("00ff000000000000", 255),
        ("4100000000000000", 256),
        ("4000000000000000", 0),
        ("4005000000000000", 5),
        ("7fff000000000000", 16383),
        ("d200000500000000", 5),
    ],
)
def test_forms_of_a_lun(field: str, lun: int) -> None:
    assert decode_lun(bytes.fromhex(field)) == lun


@pytest.mark.parametrize(
    "field",
    [
        "0100000000000000",
        "0000000100000000",
        "8000000000000000",
        "d2ffffff00000000",
        "00",
        REPORT_LUNS_WELL_KNOWN.hex(),
    ],
)
def test_what_is_no_lun_of_ours(field: str) -> None:
    with pytest.raises(InvalidLun):
        decode_lun(bytes.fromhex(field))


@pytest.mark.parametrize("lun", [-1, 16384])
def test_numbers_out_of_range(lun: int) -> None:
    with pytest.raises(InvalidLun, match="expected 0 to 16383"):
        encode_lun(lun)


@given(st.binary(max_size=9))
def test_decoding_ends_with_a_number_or_an_error(field: bytes) -> None:
    try:
        lun = decode_lun(field)
    except InvalidLun as error:
        assert "LUN field" in str(error)
    else:
        assert decode_lun(encode_lun(lun)) == lun
