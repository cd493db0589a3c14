import pytest

from tgtcore.scsi.vpd import (
    BlockLimits,
    ExtendedInquiry,
    Page,
    Port,
    Provisioning,
    block_device_characteristics,
    port_designators,
    scsi_ports,
    supported_pages,
    unit_serial_number,
    vpd_page,
)

PORT = Port(1, "iqn.2025-01.example:t,t,0x0001", 5)


def test_the_header_has_type_code_and_length() -> None:
    assert vpd_page(0x80, b"serial", device_type=5, qualifier=1) == bytes.fromhex("25800006") + b"serial"


def test_the_list_of_pages_is_in_order_and_has_itself() -> None:
    assert supported_pages([Page.BLOCK_LIMITS, Page.UNIT_SERIAL_NUMBER, 0x83]).hex() == "008083b0"


def test_a_serial_number() -> None:
    assert unit_serial_number("A1") == b"A1"


@pytest.mark.parametrize(
    ("fields", "byte", "value"),
    [
        ({"simple": False}, 5, 0x06),
        ({"ordered": False}, 5, 0x05),
        ({"head_of_queue": False}, 5, 0x03),
        ({"unit_attention_sense": True}, 5, 0x27),
        ({"volatile_cache": True}, 6, 0x01),
        ({"write_uncorrectable": True}, 6, 0x08),
        ({"clears_attention_by_lun": True}, 7, 0x01),
        ({"extended_self_test_min": 2}, 11, 0x02),
        ({"sense_bytes_max": 252}, 13, 252),
    ],
)
def test_each_field_of_extended_inquiry_has_its_place(fields: dict[str, int], byte: int, value: int) -> None:
    plain = vpd_page(Page.EXTENDED_INQUIRY_DATA, ExtendedInquiry().encode(), device_type=0)
    page = vpd_page(Page.EXTENDED_INQUIRY_DATA, ExtendedInquiry(**fields).encode(), device_type=0)  # type: ignore[arg-type]
    assert len(page) == 64
    assert page[byte] == value
    assert [at for at in range(64) if page[at] != plain[at]] == [byte]


def test_ports_have_their_names() -> None:
    names = scsi_ports([PORT])
    assert names[:12].hex() == "0000" + "0001" + "0000" + "0000" + "0000" + "0024"
    assert names[12:16].hex() == "53980020"
    assert names[16:].rstrip(b"\0").decode() == PORT.name


def test_two_ports_follow_one_another() -> None:
    one = scsi_ports([PORT])
    assert scsi_ports([PORT, PORT]) == one + one


def test_what_a_port_says_of_itself() -> None:
    assert port_designators(PORT)[:8].hex() == "5194000400000001"
    assert port_designators(PORT)[8:] == scsi_ports([PORT])[12:]


@pytest.mark.parametrize(
    ("field", "first", "length"),
    [
        ("compare_and_write_max", 5, 1),
        ("optimal_granularity", 6, 2),
        ("transfer_max", 8, 4),
        ("transfer_optimal", 12, 4),
        ("prefetch_max", 16, 4),
        ("unmap_blocks_max", 20, 4),
        ("unmap_descriptors_max", 24, 4),
        ("unmap_granularity", 28, 4),
        ("write_same_max", 36, 8),
    ],
)
def test_each_block_limit_has_its_place(field: str, first: int, length: int) -> None:
    limits = BlockLimits(write_same_zero_means_zero=False, **{field: 0xA5})
    page = vpd_page(Page.BLOCK_LIMITS, limits.encode(), device_type=0)
    assert len(page) == 64
    assert int.from_bytes(page[first : first + length], "big") == 0xA5
    assert sum(page[4:]) == 0xA5


def test_wsnz_is_the_last_bit_of_byte_4() -> None:
    assert BlockLimits(write_same_zero_means_zero=True).encode()[0] == 1


def test_an_unmap_alignment_is_valid_even_when_it_is_zero() -> None:
    assert BlockLimits(unmap_alignment=0).encode()[28:32].hex() == "80000000"
    assert BlockLimits(unmap_alignment=7).encode()[28:32].hex() == "80000007"
    assert BlockLimits(unmap_alignment=None).encode()[28:32].hex() == "00000000"


def test_a_rotation_rate() -> None:
    body = block_device_characteristics(7200)
    assert len(body) == 60
    assert body[:2] == (7200).to_bytes(2, "big")
    assert not any(body[2:])


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Provisioning(thin=False, reads_zeroes=False), "00000000"),
        (Provisioning(thin=True), "00040200"),
        (Provisioning(thin=True, unmap=True), "00840200"),
        (Provisioning(thin=True, write_same_unmap_16=True), "00440200"),
        (Provisioning(thin=True, write_same_unmap_10=True), "00240200"),
        (Provisioning(thin=True, anchor=True), "00060200"),
    ],
)
def test_provisioning(page: Provisioning, expected: str) -> None:
    assert page.encode().hex() == expected
