"""Responses and reports of events: flags that contradict each other, and lengths that can't be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.opcodes import ResponseFlag
from tgtcore_srp.iu.others import EventRequest
from tgtcore_srp.iu.response import Response, build_response

SENSE = bytes(range(18))


def unit(made: bytes, at: int, value: int) -> bytes:
    """The same with another 32-bit number somewhere."""
    return made[:at] + value.to_bytes(4, "big") + made[at + 4 :]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (
            build_response(1, 1, flags=0x0C),
            "SRP_RSP: data-out residual flags is over and under, expected one of them at most",
        ),
        (
            build_response(1, 1, flags=0x30),
            "SRP_RSP: data-in residual flags is over and under, expected one of them at most",
        ),
        (unit(build_response(1, 1, code=0), 32, 8), "SRP_RSP: response data length is 8, expected 4 bytes"),
        (build_response(1, 1, code=0)[:39], "SRP_RSP: response data length is 4, expected 3 bytes at most"),
        (build_response(1, 1, flags=2), "SRP_RSP: sense data length is 0, expected some bytes, as SNSVALID says"),
        (
            unit(build_response(1, 1, sense=SENSE), 28, 19),
            "SRP_RSP: sense data length is 19, expected 18 bytes at most",
        ),
        (
            unit(build_response(1, 1, sense=SENSE), 28, 2**32 - 1),
            "SRP_RSP: sense data length is 4294967295, expected 18 bytes at",
        ),
        (build_response(1, 1, sense=SENSE, code=5)[:57], "SRP_RSP: sense data length is 18, expected 17 bytes at most"),
    ],
)
def test_malformed(made: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=f"^{re.escape(says)}"):
        Response.parse(made)


def test_an_event_with_too_little_sense_data() -> None:
    made = EventRequest(1, 0, 0, SENSE).build()
    with pytest.raises(Malformed, match="SRP_AER_REQ: sense data length is 18, expected 17 at most"):
        EventRequest.parse(made[:-1])


def test_lengths_without_their_flag_say_nothing() -> None:
    made = unit(unit(build_response(1, 1), 28, 2**32 - 1), 32, 2**32 - 1)
    assert Response.parse(made) == Response(1, 1)


u32 = st.integers(0, 2**32 - 1)
responses = st.builds(
    Response,
    st.integers(0, 2**64 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 255),
    st.tuples(st.sampled_from([0, 0x04, 0x08]), st.sampled_from([0, 0x10, 0x20])).map(sum),
    u32,
    u32,
    st.binary(max_size=252),
    st.none() | st.integers(0, 255),
    st.integers(0, 255),
)


@given(response=responses)
def test_round_trip(response: Response) -> None:
    flags = response.flags
    flags |= ResponseFlag.SNSVALID if response.sense else 0
    flags |= ResponseFlag.RSPVALID if response.code is not None else 0
    assert Response.parse(response.build()) == response._replace(flags=flags)
