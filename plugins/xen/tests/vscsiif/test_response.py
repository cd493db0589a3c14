"""Responses: their bytes, sense data that is too long, and what a back end writes that can't be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_xen.vscsiif.errors import Malformed
from tgtcore_xen.vscsiif.layout import SENSE_BYTES, SLOT_BYTES
from tgtcore_xen.vscsiif.response import Response, build_response
from tgtcore_xen.vscsiif.results import FAILED, SUCCEEDED, Host, host_of, result, status_of

SENSE = bytes.fromhex("70 00 05 00 00 00 00 0a 00 00 00 00 24 00 00 00 00 00")


def test_bytes() -> None:
    made = bytes.fromhex("05 80 00 12") + SENSE.ljust(96, b"\0") + bytes.fromhex("02 00 00 00 00 02 00 00") + bytes(144)
    assert build_response(0x8005, result(Host.OK, 2), 512, SENSE) == made
    assert Response.parse(made) == Response(0x8005, 2, 512, SENSE)
    assert len(made) == SLOT_BYTES


def test_sense_data_is_cut() -> None:
    made = build_response(1, 2, 0, bytes(range(252)))
    assert len(made) == SLOT_BYTES
    assert Response.parse(made) == Response(1, 2, 0, bytes(range(SENSE_BYTES)))


def test_sense_data_that_can_not_be() -> None:
    with pytest.raises(Malformed, match="the length of the sense data is 97, expected 96 bytes at most"):
        Response.parse(b"\0\0\0\x61" + bytes(248))


def test_results() -> None:
    assert result(Host.ERROR) == 0x70000
    assert (host_of(0x50002), status_of(0x50002)) == (Host.ABORT, 2)
    assert (SUCCEEDED, FAILED) == (0x2002, 0x2003)


@given(
    st.builds(
        Response,
        st.integers(0, 0xFFFF),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=SENSE_BYTES),
    )
)
def test_round_trip(response: Response) -> None:
    assert Response.parse(response.build()) == response
