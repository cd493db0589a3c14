"""Who the ends of a virtual HBA are, and which logical unit is where."""

import pytest
from tgtcore_xen.guests import Guest
from tgtcore_xen.hba.devices import Devices, VirtualDevice
from tgtcore_xen.identity import initiator_ports, target_port, target_ports
from tgtcore_xen.options import HbaOptions, XenTargetOptions

from tgtcore import Target

UUID = "4c4c4544-0043-3510-8051-b4c04f4d354a"


def test_a_guest_is_the_same_wherever_and_whenever_it_runs():
    first, second = initiator_ports(Guest(5, "web1", UUID), 0), initiator_ports(Guest(17, "renamed", UUID), 0)
    assert [port.name for port in first] == ["web1", UUID]
    assert {port.transport_id for port in first} == {port.transport_id for port in second}
    assert initiator_ports(Guest(5, "web1", UUID), 1)[0].transport_id != first[0].transport_id
    assert [port.name for port in initiator_ports(Guest(0, "", ""), 0)] == ["0"]


def test_a_guest_that_migrates_to_this_machine_is_admitted_by_the_name_that_it_is_about_to_have():
    coming, there = Guest(6, "web1--incoming", UUID), Guest(6, "web1", UUID)
    assert [port.name for port in initiator_ports(coming, 0)] == ["web1", "web1--incoming", UUID]
    assert initiator_ports(coming, 0)[0] == initiator_ports(there, 0)[0]


def test_ports_keep_their_identifiers_when_others_come_and_go():
    target = Target("disks", 1, "xen", XenTargetOptions())
    hbas = [HbaOptions(address=f"web{number}/0", target="disks", group=2) for number in range(40)]
    ports = target_ports(target, hbas)
    assert len({port.relative_id for port in ports}) == len({port.name for port in ports}) == 40
    assert all(1 <= port.relative_id <= 65535 and port.group == 2 for port in ports)
    assert target_ports(target, hbas[7:8])[0] in ports
    assert target_port(target, hbas[7], []) == target_port(target, hbas[7], hbas)
    assert target_ports(target, [HbaOptions(address="web1/0", target="other")]) == []


def test_identifiers_that_would_be_the_same(monkeypatch):
    monkeypatch.setattr("tgtcore_xen.identity._relative_id", lambda address: 65535)
    target = Target("disks", 1, "xen", XenTargetOptions())
    hbas = [HbaOptions(address=f"web{number}/0", target="disks") for number in range(3)]
    assert [port.relative_id for port in target_ports(target, hbas)] == [65535, 1, 2]


def test_lun_n_is_device_n():
    devices = Devices({})
    assert devices.lun_of(0, 0, 254) == 254
    assert [devices.lun_of(*place) for place in ((0, 0, 255), (0, 1, 0), (1, 0, 0), (65535, 65535, 65535))] == [
        None
    ] * 4
    assert devices.devices_of([0, 254, 255]) == {VirtualDevice(0, 0, 0, 0): 0, VirtualDevice(0, 0, 0, 254): 254}


def test_devices_by_hand():
    devices = Devices({"0:0:1:0": 5, "0:0:2:3": 300})
    assert (devices.lun_of(0, 1, 0), devices.lun_of(0, 2, 3), devices.lun_of(0, 0, 0)) == (5, 300, None)
    assert list(map(str, devices.devices_of([5, 6, 300]))) == ["0:0:1:0", "0:0:2:3"]


@pytest.mark.parametrize("text", ["0:0:0:0", "0:0:63:254"])
def test_addresses_are_read_and_written(text):
    assert str(VirtualDevice.parse(text)) == text
