"""The configuration keys, and what is said when they are wrong."""

import pytest
from pydantic import ValidationError
from tgtcore_ibmvio.check import problems
from tgtcore_ibmvio.clients import InquiryForm, ReportLunsForm
from tgtcore_ibmvio.options import AdapterOptions, IbmvioOptions, IbmvioTargetOptions

EMULATED = {"directory": "/run/tgtcore/ibmvio"}


@pytest.mark.parametrize("written", ["30000003", "0x30000003", "0X30000003"])
def test_a_unit_address_has_one_form(written):
    adapter = AdapterOptions(address=written, location="U9117.MMA.1023456-V1-C3")
    assert adapter.address == "30000003"
    (name,) = IbmvioTargetOptions(adapters=(written,)).adapters
    assert adapter.has(name)
    assert adapter.has("U9117.MMA.1023456-V1-C3")
    assert not adapter.has("30000004")


@pytest.mark.parametrize("written", ["", "123456789", "30 00", "slot3", 30000003, True, 1.5, None])
def test_what_is_no_unit_address(written):
    with pytest.raises(ValidationError, match="unit address"):
        AdapterOptions(address=written)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"memory": "1M", "transfer_max": "2M", "emulated": EMULATED},
            "too little for 64 credits and one transfer of 2097152 bytes of each of 0 adapters, expected at least 2246656",
        ),
        (
            {"memory": "3M", "portals": [{"address": "1"}, {"address": "2"}, {"address": "3"}], "emulated": EMULATED},
            "of each of 3 adapters, expected at least 3594240",
        ),
        ({"credits": 7, "emulated": EMULATED}, "credits"),
        ({"partition": "", "emulated": EMULATED}, "partition"),
        ({"partition": "with space", "emulated": EMULATED}, "partition"),
        ({"partition_number": 0, "emulated": EMULATED}, "partition_number"),
        ({}, r"expected a table \[transports.ibmvio.emulated\]"),
        ({"platform": "qemu_pseries", "emulated": EMULATED}, r"expected a table \[transports.ibmvio.qemu_pseries\]"),
        ({"platform": "powervm", "emulated": EMULATED}, "platform"),
    ],
)
def test_wrong_keys_of_the_transport(keys, message):
    with pytest.raises(ValidationError, match=message):
        IbmvioOptions(**keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "adapters"),
        ({"adapters": ()}, "adapters"),
        ({"adapters": ("30000003",), "client": "windows"}, "client"),
        ({"adapters": ("30000003",), "devices": {"0:0": 0}}, "expected bus:target:lun"),
        ({"adapters": ("30000003",), "devices": {"0:0:0": 16384}}, "devices"),
        ({"adapters": ("30000003",), "devices": {"0:0:0": 1, "0:1:0": 1}}, "LUN 1 is two virtual devices"),
        ({"adapters": ("30000003",), "devices": {"0:0:0": 1, "0:00:0": 2}}, "there twice"),
    ],
)
def test_wrong_keys_of_a_target(keys, message):
    with pytest.raises(ValidationError, match=message):
        IbmvioTargetOptions(**keys)


def test_the_kind_of_a_client_sets_what_is_not_said():
    aix = IbmvioTargetOptions(adapters=("30000003",), client="aix")
    assert (aix.kind.report_luns, aix.kind.inquiry) == (ReportLunsForm.LOGICAL_UNIT, InquiryForm.AIX)
    mixed = IbmvioTargetOptions(adapters=("30000003",), client="aix", inquiry="own", underrun_as_over=True)
    assert (mixed.kind.report_luns, mixed.kind.inquiry) == (ReportLunsForm.LOGICAL_UNIT, InquiryForm.OWN)
    assert mixed.kind.underrun_as_over


def test_they_are_the_same_after_a_way_as_json():
    options = IbmvioOptions(portals=({"address": "0x30000003", "location": "U1-V1-C3"},), emulated=EMULATED)
    assert IbmvioOptions.model_validate_json(options.model_dump_json(round_trip=True)) == options
    target = IbmvioTargetOptions(adapters=("0x30000003",), devices={"0:1:0": 3}, report_luns="logical_unit")
    assert IbmvioTargetOptions.model_validate_json(target.model_dump_json(round_trip=True)) == target


class Config:
    def __init__(self, portals, **targets):
        options = IbmvioOptions(portals=tuple(portals), emulated=EMULATED)
        self.transports = {"ibmvio": Keys(options)}
        self.targets = {name: Keys(IbmvioTargetOptions(adapters=adapters)) for name, adapters in targets.items()}


class Keys:
    def __init__(self, options):
        self.options = options


def test_adapters_that_are_not_there_or_lead_to_two_targets():
    portals = [{"address": "30000003", "location": "U1-V1-C3"}, {"address": "30000004"}]
    config = Config(portals, a=("30000003", "30000004"), b=("U1-V1-C3",), c=("30000005",))
    assert problems(config) == [
        (("targets", "b", "adapters"), 'adapter U1-V1-C3 leads to target "a" already'),
        (("targets", "c", "adapters"), "there is no adapter 30000005 (expected one of: 30000003, 30000004)"),
    ]


def test_adapters_that_are_there_twice():
    config = Config(
        [{"address": "30000003", "location": "U1-V1-C3"}, {"address": "0x30000003", "location": "U1-V1-C3"}]
    )
    assert [message for _, message in problems(config)] == [
        "adapter 30000003 is there already; name it once",
        "adapter U1-V1-C3 is there already; name it once",
    ]


def test_a_right_configuration_has_no_problems():
    assert problems(Config([{"address": "30000003"}], a=("30000003",))) == []
