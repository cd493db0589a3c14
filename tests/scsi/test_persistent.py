import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.scsi.parameters import ParameterError
from tgtcore.scsi.persistent import (
    FullStatus,
    OutAction,
    ReservationType,
    capabilities_data,
    full_status_data,
    parse_reserve_out,
    read_keys_data,
    read_reservation_data,
)
from tgtcore.scsi.transport_id import Protocol, fixed_transport_id

SAS = fixed_transport_id(Protocol.SAS, bytes.fromhex("5000c50000000001"))
SRP = fixed_transport_id(Protocol.SRP, bytes(range(16)))
KEYS = (0x11).to_bytes(8, "big") + (0x22).to_bytes(8, "big")


def basic(flags: int = 0, ids: bytes | None = None) -> bytes:
    listed = b"" if ids is None else len(ids).to_bytes(4, "big") + ids
    return KEYS + bytes(4) + bytes((flags, 0, 0, 0)) + listed


def move(flags: int = 0, port: int = 7, ids: bytes = SAS) -> bytes:
    return KEYS + bytes((0, flags)) + port.to_bytes(2, "big") + len(ids).to_bytes(4, "big") + ids


@pytest.mark.parametrize("action", [action for action in OutAction if action is not OutAction.REGISTER_AND_MOVE])
def test_the_basic_list_has_24_bytes(action: OutAction) -> None:
    parameters = parse_reserve_out(action, basic(0x05))
    assert (parameters.key, parameters.service_key) == (0x11, 0x22)
    assert parameters.all_target_ports
    assert parameters.persist
    assert parameters.transport_ids is None
    for wrong in (basic()[:-1], basic() + b"\0", b""):
        with pytest.raises(ParameterError) as caught:
            parse_reserve_out(action, wrong)
        assert caught.value.truncated


def test_register_may_name_other_initiator_ports() -> None:
    parameters = parse_reserve_out(OutAction.REGISTER, basic(0x08, SAS + SRP))
    assert parameters.transport_ids == (SAS, SRP)
    assert not parameters.all_target_ports
    assert not parameters.persist
    assert parse_reserve_out(OutAction.REGISTER, basic(0x08, b"")).transport_ids == ()


@pytest.mark.parametrize("action", sorted(set(OutAction) - {OutAction.REGISTER, OutAction.REGISTER_AND_MOVE}))
def test_only_register_may(action: OutAction) -> None:
    with pytest.raises(ParameterError, match="SPEC_I_PT") as caught:
        parse_reserve_out(action, basic(0x08, SAS))
    assert (caught.value.byte, caught.value.bit, caught.value.truncated) == (20, 3, False)


def test_register_and_move_names_its_destination() -> None:
    parameters = parse_reserve_out(OutAction.REGISTER_AND_MOVE, move(0x03))
    assert parameters.transport_ids == (SAS,)
    assert parameters.relative_port == 7
    assert parameters.unregister
    assert parameters.persist
    assert not parse_reserve_out(OutAction.REGISTER_AND_MOVE, move(0x01)).unregister


@pytest.mark.parametrize("ids", [b"", SAS + SRP])
def test_a_move_has_one_destination(ids: bytes) -> None:
    with pytest.raises(ParameterError, match="expected one") as caught:
        parse_reserve_out(OutAction.REGISTER_AND_MOVE, move(ids=ids))
    assert (caught.value.byte, caught.value.truncated) == (20, False)


@pytest.mark.parametrize("cut", range(1, 28))
def test_a_list_that_is_cut_is_noticed(cut: int) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_reserve_out(OutAction.REGISTER, basic(0x08, SAS)[:-cut])
    assert caught.value.truncated


def test_a_list_that_ends_inside_a_transport_id_is_noticed() -> None:
    with pytest.raises(ParameterError) as caught:
        parse_reserve_out(OutAction.REGISTER, basic(0x08, SAS + SRP[:-1]))
    assert caught.value.truncated


@pytest.mark.parametrize("length", [0, 23, 25, 48, 0xFFFFFFFF])
def test_announced_and_sent_length_must_agree(length: int) -> None:
    data = bytearray(basic(0x08, SAS))
    data[24:28] = length.to_bytes(4, "big")
    with pytest.raises(ParameterError, match="announced") as caught:
        parse_reserve_out(OutAction.REGISTER, bytes(data))
    assert caught.value.truncated


def test_a_bad_transport_id_is_found_where_it_lies() -> None:
    with pytest.raises(ParameterError) as caught:
        parse_reserve_out(OutAction.REGISTER, basic(0x08, SAS + b"\x0f" + bytes(23)))
    assert (caught.value.byte, caught.value.bit) == (28 + 24, 3)


@given(st.sampled_from(OutAction), st.binary(max_size=120))
def test_only_the_declared_error_comes_out(action: OutAction, data: bytes) -> None:
    try:
        parameters = parse_reserve_out(action, data)
    except ParameterError as error:
        assert 0 <= error.byte <= max(24, len(data))
    else:
        assert parameters.key == int.from_bytes(data[:8], "big")


def test_read_keys() -> None:
    assert read_keys_data(3, []).hex() == "0000000300000000"
    assert read_keys_data(3, [1, 1 << 63]).hex() == "00000003000000100000000000000001" + "8000000000000000"


def test_read_reservation() -> None:
    assert read_reservation_data(9, None).hex() == "0000000900000000"
    held = read_reservation_data(9, (0xAB, ReservationType.EXCLUSIVE_ACCESS))
    assert held.hex() == "0000000900000010" + "00000000000000ab" + "0000000000030000"


@pytest.mark.parametrize(
    ("can_persist", "persists", "expected"),
    [(False, False, "00081c90ea010000"), (True, False, "00081d90ea010000"), (True, True, "00081d91ea010000")],
)
def test_capabilities(can_persist: bool, persists: bool, expected: str) -> None:
    assert capabilities_data(can_persist=can_persist, persists=persists).hex() == expected


def test_full_status_has_a_descriptor_for_each_nexus() -> None:
    data = full_status_data(
        2, [FullStatus(0x11, SAS, 1, None), FullStatus(0x22, SRP, 258, ReservationType.WRITE_EXCLUSIVE)]
    )
    assert data[:8].hex() == "0000000200000060"
    assert data[8:32].hex() == "0000000000000011" + "00000000" + "0000" + "00000000" + "0001" + "00000018"
    assert data[32:56] == SAS
    assert data[56:80].hex() == "0000000000000022" + "00000000" + "0101" + "00000000" + "0102" + "00000018"
    assert data[80:] == SRP
