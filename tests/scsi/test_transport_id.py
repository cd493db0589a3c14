import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.scsi.parameters import ParameterError
from tgtcore.scsi.transport_id import (
    Protocol,
    fixed_transport_id,
    is_name_only,
    iscsi_name_of,
    iscsi_name_transport_id,
    iscsi_transport_id,
    parse_transport_id,
    protocol_of,
)

HOST = "iqn.2025-01.example:host"
PORT = iscsi_transport_id(HOST, bytes.fromhex("400001370000"))


def iscsi(form: int, body: bytes, length: int | None = None) -> bytes:
    return bytes((form | 5, 0)) + (len(body) if length is None else length).to_bytes(2, "big") + body


def test_an_iscsi_port_is_named_by_name_and_isid() -> None:
    assert PORT == b"\x45\0\0\x2c" + b"iqn.2025-01.example:host,i,0x400001370000\0\0\0"
    assert iscsi_name_of(PORT) == HOST
    assert protocol_of(PORT) is Protocol.ISCSI
    assert not is_name_only(PORT)


def test_an_iscsi_initiator_is_named_by_its_name_alone() -> None:
    whole = iscsi_name_transport_id(HOST)
    assert whole == b"\x05\0\0\x1c" + HOST.encode() + bytes(4)
    assert iscsi_name_of(whole) == HOST
    assert is_name_only(whole)


def test_a_short_iscsi_name_is_filled_to_the_least_length() -> None:
    assert len(iscsi_name_transport_id("eui.0123456789abcdef")) == 28
    assert len(iscsi_name_transport_id("iqn.x")) == 24


def test_case_and_missing_zeroes_make_no_other_port() -> None:
    other = iscsi(0x40, b"IQN.2025-01.Example:Host,i,0x40000137000F\0rubbish....".ljust(56, b"."))
    assert parse_transport_id(other)[0] == iscsi_transport_id(HOST, bytes.fromhex("40000137000f"))
    short = iscsi(0x40, b"iqn.2025-01.example:host,i,0x1\0\0")
    assert parse_transport_id(short)[0] == iscsi_transport_id(HOST, bytes.fromhex("000000000001"))


@pytest.mark.parametrize(
    ("protocol", "identifier", "expected"),
    [
        (Protocol.FIBRE_CHANNEL, "21000024ff000001", "00" + "00" * 7 + "21000024ff000001" + "00" * 8),
        (Protocol.SRP, "0102030405060708090a0b0c0d0e0f10", "04" + "00" * 7 + "0102030405060708090a0b0c0d0e0f10"),
        (Protocol.SAS, "5000c50000000001", "06" + "00" * 3 + "5000c50000000001" + "00" * 12),
    ],
)
def test_identifiers_of_fixed_length(protocol: Protocol, identifier: str, expected: str) -> None:
    made = fixed_transport_id(protocol, bytes.fromhex(identifier))
    assert made.hex() == expected
    noisy = bytes(byte or 0xFF for byte in made[1:4])
    kept = made if protocol is Protocol.SAS else made[:1] + noisy + made[4:]
    assert parse_transport_id(b"head" + kept, 4) == (made, 28)


def test_identifiers_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="SRP identifier of 8 bytes, expected 16"):
        fixed_transport_id(Protocol.SRP, bytes(8))
    with pytest.raises(ValueError, match="ISID of 5 bytes, expected 6"):
        iscsi_transport_id(HOST, bytes(5))


@pytest.mark.parametrize("cut", range(len(PORT)))
def test_every_cut_is_noticed(cut: int) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_transport_id(PORT[:cut])
    assert caught.value.truncated


@pytest.mark.parametrize(
    ("data", "byte", "bit"),
    [
        (bytes([0x01]) + bytes(23), 0, 3),
        (bytes([0x0F]) + bytes(23), 0, 3),
        (bytes([0x46]) + bytes(23), 0, 7),
        (iscsi(0x80, HOST.encode().ljust(28, b"\0")), 0, 7),
        (iscsi(0x00, HOST.encode().ljust(28, b"\0"), length=16), 2, None),
        (iscsi(0x00, HOST.encode().ljust(28, b"\0"), length=22), 2, None),
        (iscsi(0x00, bytes(20)), 4, None),
        (iscsi(0x00, b"a" * 224), 4, None),
        (iscsi(0x00, b"iqn.\xff".ljust(20, b"\0")), 8, None),
        (iscsi(0x00, PORT[4:]), 28, None),
        (iscsi(0x40, HOST.encode().ljust(28, b"\0")), 4, None),
        (iscsi(0x40, b"iqn.a,i,0x".ljust(20, b"\0")), 14, None),
        (iscsi(0x40, b"iqn.a,i,0x12345678901234".ljust(28, b"\0")), 14, None),
        (iscsi(0x40, b"iqn.a,i,0x12g4".ljust(20, b"\0")), 14, None),
        (iscsi(0x40, b"iqn.a,I,0X1,i,0x1".ljust(20, b"\0")), 4, None),
    ],
)
def test_what_names_no_initiator_port(data: bytes, byte: int, bit: int | None) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_transport_id(data)
    assert (caught.value.byte, caught.value.bit, caught.value.truncated) == (byte, bit, False)


@given(st.binary(max_size=300), st.integers(0, 8))
def test_only_the_declared_error_comes_out(data: bytes, at: int) -> None:
    try:
        made, end = parse_transport_id(data, at)
    except ParameterError as error:
        assert 0 <= error.byte <= max(len(data), at)
    else:
        assert at < end <= len(data)
        assert parse_transport_id(made) == (made, len(made))


@given(st.sampled_from((0x05, 0x45)), st.binary(max_size=60))
def test_likely_iscsi_ids_parse_to_a_fixed_point(first: int, text: bytes) -> None:
    body = b"iqn." + text + b",i,0x12"
    body = body.ljust((max(20, len(body) + 1) + 3) & ~3, b"\0")
    try:
        made, _ = parse_transport_id(iscsi(first & 0xC0, body))
    except ParameterError as error:
        assert not error.truncated
    else:
        assert parse_transport_id(made) == (made, len(made))
