"""The configuration keys, and what no single key shows to be wrong."""

import pytest
from pydantic import ValidationError
from tgtcore_xen.check import problems
from tgtcore_xen.options import HbaOptions, XenOptions, XenTargetOptions

EMULATED = {"platform": "emulated", "emulated": {"machine": "lab"}}
UUID = "4C4C4544-0043-3510-8051-B4C04F4D354A"


@pytest.mark.parametrize(
    ("written", "guest", "dev"),
    [
        ("web1/0", "web1", 0),
        (f"{UUID}/12", UUID.lower(), 12),
        ("17/0", "17", 0),
        ("a.b-c_d+e:f/65535", "a.b-c_d+e:f", 65535),
    ],
)
def test_an_hba_by_its_guest_and_number(written, guest, dev):
    hba = HbaOptions(address=written)
    assert (hba.guest, hba.dev, hba.target_name) == (guest, dev, guest)
    assert HbaOptions(address=written, target="disks").target_name == "disks"


@pytest.mark.parametrize(
    "written", ["", "web1", "/0", "web1/", "web1/-1", "web1/01", "a b/0", "a/b/0", "web1/123456", 5, None, True]
)
def test_what_is_no_hba(written):
    with pytest.raises(ValidationError, match="expected GUEST/DEV"):
        HbaOptions(address=written)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"platform": "emulated"}, r"expected a table \[transports.xen.emulated\]"),
        ({"platform": "kvm"}, "platform"),
        ({**EMULATED, "sg_grant": 25}, "sg_grant"),
        ({**EMULATED, "sg_grant": 1025}, "sg_grant"),
        (
            {**EMULATED, "memory": "1M", "sg_grant": 512},
            "memory: 1048576 bytes are too little for one command of 512 pages of each of",
        ),
        ({**EMULATED, "close_s": -1}, "close_s"),
        ({**EMULATED, "journal": "here"}, "expected an absolute path"),
        ({"hypervisor": {"gntdev": "gntdev"}}, "expected an absolute path"),
        ({**EMULATED, "portals": ({"address": "web1/0", "adress": 1},)}, "adress"),
    ],
)
def test_wrong_keys_of_the_transport(keys, message):
    with pytest.raises(ValidationError, match=message):
        XenOptions(**keys)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ({"0:0:0": 0}, "expected host:channel:target:lun"),
        ({"0:1:0:0": 0}, 'to "0:0:63:254"'),
        ({"0:0:64:0": 0}, "no virtual device"),
        ({"0:0:0:255": 0}, "no virtual device"),
        ({"1:0:0:0": 0}, "no virtual device"),
        ({"0:0:0:0": 16384}, "devices"),
        ({"0:0:0:0": 1, "0:0:1:0": 1}, "LUN 1 is two virtual devices"),
        ({"0:0:0:0": 1, "0:0:00:0": 2}, "there twice"),
    ],
)
def test_wrong_devices(devices, message):
    with pytest.raises(ValidationError, match=message):
        XenTargetOptions(devices=devices)


def test_they_are_the_same_after_a_way_as_json():
    options = XenOptions(portals=({"address": f"{UUID}/0", "target": "x"},), journal="/run/x", sg_grant=64, **EMULATED)
    assert XenOptions.model_validate_json(options.model_dump_json(round_trip=True)) == options
    target = XenTargetOptions(devices={"0:0:1:0": 3})
    assert XenTargetOptions.model_validate_json(target.model_dump_json(round_trip=True)) == target


class Keys:
    def __init__(self, options, transport="xen"):
        self.options = options
        self.transport = transport


class Config:
    def __init__(self, portals, **targets):
        self.transports = {"xen": Keys(XenOptions(portals=tuple(portals), **EMULATED))}
        self.targets = {name: Keys(None, transport) for name, transport in targets.items()}


def test_what_is_wrong_together():
    portals = [{"address": "web1/0"}, {"address": "web1/0", "target": "other"}, {"address": "web2/0"}]
    assert problems(Config(portals, other="iscsi")) == [
        (("transports", "xen", "portals", 1), "virtual HBA web1/0 is there already; name it once"),
        (
            ("transports", "xen", "portals", 1),
            'virtual HBA web1/0 leads to target "other", whose transport is iscsi, expected one with transport xen',
        ),
    ]


def test_a_target_that_is_not_there_is_waited_for():
    assert problems(Config([{"address": "web1/0"}, {"address": "web1/1", "target": "web1"}], web1="xen")) == []
