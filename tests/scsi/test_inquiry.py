import pytest

from tgtcore.scsi.inquiry import StandardInquiry, VersionDescriptor, no_device_inquiry


def disk(**fields: object) -> bytes:
    common = {"device_type": 0, "vendor": "ACME", "product": "DISK", "revision": "1"}
    return StandardInquiry(**(common | fields)).encode()  # type: ignore[arg-type]


def test_a_plain_disk() -> None:
    data = disk()
    assert len(data) == 96
    assert data[:8].hex() == "00000612" + "5b000002"
    assert data[8:36] == b"ACME    DISK            1   "
    assert not any(data[36:])


def test_the_additional_length_covers_everything() -> None:
    data = disk()
    assert data[4] == len(data) - 5


@pytest.mark.parametrize(
    ("fields", "byte", "value"),
    [
        ({"device_type": 5}, 0, 0x05),
        ({"removable": True}, 1, 0x80),
        ({"target_port_groups": 3}, 5, 0x30),
        ({"third_party_copy": True}, 5, 0x08),
        ({"protect": True}, 5, 0x01),
    ],
)
def test_each_feature_is_one_field(fields: dict[str, object], byte: int, value: int) -> None:
    plain, data = disk(), disk(**fields)
    assert data[byte] == value
    assert [at for at in range(96) if data[at] != plain[at]] == [byte]


def test_version_descriptors_are_at_byte_58() -> None:
    data = disk(versions=(VersionDescriptor.SAM_5, VersionDescriptor.ISCSI, VersionDescriptor.SBC_4))
    assert data[58:66].hex() == "00a0" + "0960" + "0600" + "0000"


def test_nine_version_descriptors_do_not_fit() -> None:
    with pytest.raises(ValueError, match="9 version descriptors"):
        disk(versions=range(9))


@pytest.mark.parametrize(("field", "text"), [("vendor", "x" * 9), ("product", "x" * 17), ("revision", "12345")])
def test_texts_that_are_too_long_are_named(field: str, text: str) -> None:
    with pytest.raises(ValueError, match=field):
        disk(**{field: text})


def test_a_lun_without_a_logical_unit_says_7f() -> None:
    assert no_device_inquiry()[0] == 0x7F
