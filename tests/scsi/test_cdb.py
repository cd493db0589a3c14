import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.scsi.cdb import cdb_bytes, command_name, describe_cdb, service_action

READ_32 = bytes.fromhex("7f00000000000018 0009")


@pytest.mark.parametrize(
    ("cdb", "length"),
    [
        ("00", 6),
        ("1a", 6),
        ("28", 10),
        ("5a", 10),
        ("88", 16),
        ("a0", 12),
        (READ_32.hex(), 32),
        ("7f000000000000", None),
        ("60", None),
        ("c0", None),
        ("ff", None),
        ("", None),
    ],
)
def test_the_group_code_tells_the_length(cdb: str, length: int | None) -> None:
    assert cdb_bytes(bytes.fromhex(cdb)) == length


@pytest.mark.parametrize(
    ("cdb", "action"),
    [
        ("9e10", 0x10),
        ("a3ea", 0x0A),
        ("5f07", 0x07),
        (READ_32.hex(), 0x09),
        (READ_32[:9].hex(), None),
        ("a3", None),
        ("2810", None),
        ("", None),
    ],
)
def test_where_the_service_action_is(cdb: str, action: int | None) -> None:
    assert service_action(bytes.fromhex(cdb)) == action


@pytest.mark.parametrize(
    ("cdb", "name"),
    [
        ("00", "TEST UNIT READY"),
        ("28", "READ (10)"),
        ("89", "COMPARE AND WRITE"),
        ("9e10", "READ CAPACITY (16)"),
        ("a30a", "REPORT TARGET PORT GROUPS"),
        ("5e02", "REPORT CAPABILITIES"),
        (READ_32.hex(), "READ (32)"),
        ("9e1f", "SERVICE ACTION IN (16) service action 1Fh"),
        ("9e", "SERVICE ACTION IN (16)"),
        ("c1", "opcode C1h"),
        ("", "empty CDB"),
    ],
)
def test_commands_have_the_names_of_the_standards(cdb: str, name: str) -> None:
    assert command_name(bytes.fromhex(cdb)) == name


def test_a_description_leaves_the_padding_out() -> None:
    assert describe_cdb(bytes(16)) == "TEST UNIT READY [00 00 00 00 00 00]"


def test_a_description_of_a_long_cdb_is_short() -> None:
    text = describe_cdb(b"\x7f" + bytes(6) + b"\xf8" + bytes(252))
    assert text.endswith("00 ...]")
    assert len(text) < 150


@given(st.binary(max_size=300))
def test_anything_can_be_described(cdb: bytes) -> None:
    assert len(describe_cdb(cdb)) < 200
