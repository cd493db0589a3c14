"""Additional header segments, and every way to get their lengths wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.pdu.ahs import build_ahs, parse_ahs
from tgtcore_iscsi.pdu.codes import RejectReason

CDB = bytes(range(16))


@given(rest=st.binary(max_size=244), read_length=st.none() | st.integers(0, 2**32 - 1))
def test_round_trip(rest: bytes, read_length: int | None) -> None:
    ahs = build_ahs(rest, read_length)
    assert len(ahs) % 4 == 0
    assert parse_ahs(CDB, memoryview(ahs)) == (CDB + rest, read_length)


def test_no_segments_leave_the_cdb_alone() -> None:
    assert parse_ahs(CDB, b"") == (CDB, None)


@pytest.mark.parametrize(
    ("ahs", "says"),
    [
        (bytes.fromhex("00000100"), "AHSLength 0"),
        (bytes.fromhex("00010100"), "CDB of 16 bytes"),
        (bytes.fromhex("ffff0100") + bytes(64), "AHSLength 65535"),
        (bytes.fromhex("000a0100") + bytes(8), "AHSLength 10"),
        (bytes.fromhex("00050000") + bytes(4), "type 0x00"),
        (bytes.fromhex("00053f00") + bytes(4), "type 0x3f"),
        (bytes.fromhex("00040200") + bytes(4), "AHSLength 4 of a bidirectional"),
        (bytes.fromhex("00060200") + bytes(8), "AHSLength 6 of a bidirectional"),
        (build_ahs(b"", 1) * 2, "type 0x02"),
        (build_ahs(b"abcd") * 2, "type 0x01"),
        (build_ahs(bytes(245)), "CDB of 261 bytes"),
        (b"\0\5", "ends after 2 bytes"),
        (bytes(255 * 4), "AHSLength 0"),
    ],
)
def test_impossible_segments_are_refused(ahs: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says) as caught:
        parse_ahs(CDB, ahs)
    assert caught.value.reason is RejectReason.INVALID_PDU_FIELD


@pytest.mark.fuzz
@given(ahs=st.binary(max_size=1020))
def test_random_bytes_raise_only_protocol_errors(ahs: bytes) -> None:
    try:
        cdb, _ = parse_ahs(CDB, ahs)
    except RemoteProtocolError:
        return
    assert 16 <= len(cdb) <= 260


def test_headers_too_long_for_a_pdu_are_refused_before_they_are_sent() -> None:
    with pytest.raises(ValueError, match="at most 1020"):
        build_ahs(bytes(1100))
