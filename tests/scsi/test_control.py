import pytest

from tgtcore.scsi.control import D_SENSE, SWP, TAS, control_extension_page, control_page, is_set


@pytest.mark.parametrize(("software_write_protect", "mask"), [(False, "04000040"), (True, "04000840")])
def test_what_can_be_changed(software_write_protect: bool, mask: str) -> None:
    page = control_page(software_write_protect=software_write_protect)
    assert page.key == (0x0A, 0)
    assert page.changeable.hex() == mask + "00" * 6


def test_nothing_is_saved_each_nexus_has_its_task_set_and_order_is_free_by_default() -> None:
    default = control_page(software_write_protect=True).default
    assert default.hex() == "22100040" + "00" * 6


def test_the_extension_page_has_its_full_length() -> None:
    page = control_extension_page()
    assert page.encode(page.default)[:4].hex() == "4a01001c"
    assert not any(page.changeable)


@pytest.mark.parametrize(
    ("bit", "values"), [(D_SENSE, "04000000"), (SWP, "00000800"), (TAS, "00000040")], ids=["D_SENSE", "SWP", "TAS"]
)
def test_where_the_bits_are(bit: tuple[int, int], values: str) -> None:
    raw = bytes.fromhex(values)
    assert is_set(raw, bit)
    assert not is_set(bytes(byte ^ 0xFF for byte in raw), bit)
