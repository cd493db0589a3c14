"""What it costs to run the iSCSI transport in a process of its own: the same daemon, with and without."""

import shutil
from dataclasses import replace
from pathlib import Path

from oracle.served import Served

from benchmarks.paired import Result, measure
from benchmarks.workloads import Workload

_LEAST_SPEED = 0.4
_CONFIGURATION = """
[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]

[logical_units.disk]
device_type = "disk"
store = {{ type = "file", path = "{image}" }}

[targets."iqn.2025-01.example.tgtcore:disk"]
transport = "iscsi"
luns = ["disk"]
allow = {{ initiators = ["*"] }}
"""


class _Isolated(Served):
    """With the transport in a process of its own."""

    isolation = "process"


def served(work: Path, image: Path, *, isolated: bool) -> Served:
    """A daemon with one disk."""
    return (_Isolated if isolated else Served).configured(work, _CONFIGURATION.format(image=image))


def measure_isolation(work: Path, image: Path, workloads: list[Workload], rounds: int, seconds: float) -> list[Result]:
    """The daemon with the transport inside is the peer, on an image of the same content."""
    twin = work / "twin.img"
    shutil.copyfile(image, twin)
    results = []
    for workload in workloads:
        limited = replace(workload, least_speed=_LEAST_SPEED if workload.depth == 32 else None, most_cpu=None)
        with served(work, image, isolated=True) as ours, served(work, twin, isolated=False) as peer:
            results.append(measure(limited, ours, peer, rounds, seconds))
    return results
