"""REPORT LUNS in the form that clients accept."""

import pytest
from tgtcore_ibmvio.addressing import LunFields, VirtualDevice, VirtualDevices
from tgtcore_ibmvio.options import IbmvioTargetOptions
from tgtcore_ibmvio.transport import IbmvioTransport

from tgtcore.scsi.lun import REPORT_LUNS_WELL_KNOWN

LUNS = (0, 1, 5, 256, 257, 8192)
EVERYTHING = ["8000", "8001", "8005", "8100", "8101", "a000"]


class Target:
    def __init__(self, options):
        self.options = options


def report(asked, *, luns=LUNS, **options):
    """What a client is told that asks a virtual device, by the way of its LUN field through the transport."""
    target = Target(IbmvioTargetOptions(adapters=("30000003",), **options))
    field = VirtualDevice.parse(asked).field if isinstance(asked, str) else asked
    meant = LunFields(VirtualDevices(target.options.devices))[int.from_bytes(field, "big")]
    fields = IbmvioTransport.reported_luns(target, luns, meant)
    assert all(len(one) == 8 and not any(one[2:]) for one in fields)
    return [one[:2].hex() for one in fields]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("0:0:0", ["0000", "0001", "0005"]),
        ("0:0:1", ["0000", "0001", "0005"]),
        ("0:1:0", ["0000", "0001"]),
        ("0:32:0", ["0000"]),
        ("0:2:0", []),
        ("1:0:0", []),
    ],
)
def test_linux_is_told_what_the_virtual_target_has_that_it_asked(asked, told):
    assert report(asked) == told


@pytest.mark.parametrize("asked", ["0:0:0", "0:1:0", "0:2:0", "7:63:31"])
def test_aix_is_told_of_everything(asked):
    assert report(asked, client="aix") == EVERYTHING


@pytest.mark.parametrize("client", ["linux", "aix"])
def test_the_well_known_logical_unit_tells_everything(client):
    assert report(REPORT_LUNS_WELL_KNOWN, client=client) == EVERYTHING


@pytest.mark.parametrize(("asked", "told"), [("0:0:0", []), ("0:1:0", ["0000", "0001"]), ("0:2:7", ["0000"])])
def test_the_mapping_counts(asked, told):
    devices = {"0:1:0": 0, "0:1:1": 5, "0:2:0": 256}
    assert report(asked, devices=devices) == told
    assert report(asked, devices=devices, client="aix") == ["8100", "8101", "8200"]
