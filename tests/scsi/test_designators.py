import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgtcore.scsi.designators import (
    Association,
    DesignatorType,
    designator,
    naa_locally_assigned,
    relative_target_port,
    scsi_name_string,
    t10_vendor_id,
    target_port_group,
    uuid_designator,
)

ISCSI = 5


def test_a_vendor_id() -> None:
    assert t10_vendor_id("ACME", "serial") == bytes.fromhex("0201000e") + b"ACME    serial"


def test_port_numbers_come_with_the_protocol() -> None:
    assert relative_target_port(0x102, ISCSI).hex() == "5194000400000102"
    assert target_port_group(3, ISCSI).hex() == "5195000400000003"


def test_a_uuid() -> None:
    value = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff").bytes
    assert uuid_designator(value).hex() == "010a0012" + "1000" + value.hex()


def test_a_uuid_has_16_bytes() -> None:
    with pytest.raises(ValueError, match="15 bytes, expected 16"):
        uuid_designator(bytes(15))


@given(st.binary(min_size=16, max_size=16))
def test_naa_is_stable_and_locally_assigned(unique_id: bytes) -> None:
    descriptor = naa_locally_assigned(unique_id)
    assert descriptor[:4].hex() == "01030008"
    assert descriptor[4] >> 4 == 3
    assert len(descriptor) == 12
    assert descriptor == naa_locally_assigned(bytes(unique_id))


@pytest.mark.parametrize("byte", range(16))
def test_naa_depends_on_every_byte_of_the_unique_id(byte: int) -> None:
    other = bytearray(16)
    other[byte] = 1
    assert naa_locally_assigned(bytes(other)) != naa_locally_assigned(bytes(16))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50))
def test_names_end_with_nul_and_fill_words(name: str) -> None:
    descriptor = scsi_name_string(name, Association.TARGET_PORT, ISCSI)
    assert descriptor[:3].hex() == "539800"
    assert descriptor[3] == len(descriptor) - 4
    assert len(descriptor) % 4 == 0
    assert descriptor[4:].rstrip(b"\0").decode() == name
    assert descriptor.endswith(b"\0")


def test_a_name_of_the_device_has_no_protocol_unless_it_is_given() -> None:
    assert scsi_name_string("x", Association.TARGET_DEVICE)[:2].hex() == "0328"


def test_a_designator_has_at_most_255_bytes() -> None:
    with pytest.raises(ValueError, match="256 bytes, at most 255"):
        designator(DesignatorType.VENDOR_SPECIFIC, bytes(256), code_set=1, association=Association.LOGICAL_UNIT)
