"""Virtual devices and the LUN fields that mean them."""

import pytest
from tgtcore_ibmvio.addressing import LunFields, VirtualDevice, VirtualDevices
from tgtcore_srp.quirks import NO_LUN


def field(text):
    return int.from_bytes(bytes.fromhex(text).ljust(8, b"\0"), "big")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0:0:0", "8000"),
        ("0:0:31", "801f"),
        ("0:1:0", "8100"),
        ("1:0:0", "8020"),
        ("7:63:31", "bfff"),
        ("0:2:5", "8205"),
    ],
)
def test_a_virtual_device_as_text_and_as_a_field(text, written):
    device = VirtualDevice.parse(text)
    assert device.field == bytes.fromhex(written) + bytes(6)
    assert str(device) == text
    assert VirtualDevice.numbered(device.number) == device


@pytest.mark.parametrize(
    "text", ["", "0:0", "0:0:32", "0:64:0", "8:0:0", "0:0:0:0", "-1:0:0", "a:b:c", "0:0:٣", " 0:0:0"]
)
def test_what_is_no_virtual_device(text):
    with pytest.raises(ValueError, match="expected bus:target:lun"):
        VirtualDevice.parse(text)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("8000", "0000"),
        ("8005", "0005"),
        ("8100", "4100"),
        ("bfff", "7fff"),
        ("0005", "0005"),
        ("4100", "4100"),
        ("c101", "c101"),
        ("0000", "0000"),
    ],
)
def test_without_a_mapping_the_number_is_the_lun(written, meant):
    fields = LunFields(VirtualDevices({}))
    assert fields[field(written)] == field(meant)
    assert fields[field(written)] == field(meant)


@pytest.mark.parametrize("written", ["8000000000000001", "8000010000000000", "ffffffffffffffff"])
def test_fields_that_mean_nothing(written):
    fields = LunFields(VirtualDevices({}))
    assert fields[field(written)] in (NO_LUN, field(written))
    assert fields[field("8000000000000001")] == NO_LUN


def test_with_a_mapping_only_what_is_mapped_is_there():
    devices = VirtualDevices({"0:1:0": 3, "0:2:0": 400})
    fields = LunFields(devices)
    assert fields[field("8100")] == field("0003")
    assert fields[field("8200")] == field("4190")
    assert fields[field("8003")] == field("8003")
    assert fields[field("0003")] == field("8003")
    assert (devices.device_of(3), devices.device_of(0)) == (VirtualDevice(0, 1, 0), None)


def test_a_client_that_invents_fields_costs_no_memory():
    fields = LunFields(VirtualDevices({}))
    for number in range(1 << 14):
        fields[0x8000 + number << 48]
        fields[(0x8000 + number << 48) + 1]
    assert len(fields) <= 1024
