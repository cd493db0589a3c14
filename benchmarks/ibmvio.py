"""Virtual SCSI on emulated partitions beside iSCSI on loopback: the same daemon, on images of the same content.

The initiators are a client partition in a process of its own, and libiscsi's and QEMU's tools; see
:mod:`benchmarks.client_partition`.  Needs the Debian packages libiscsi-bin, qemu-utils and qemu-block-extra.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from oracle.served import Served

from benchmarks.asking import chosen, parser
from benchmarks.image import fill, read_in
from benchmarks.isolation import served
from benchmarks.paired import Result, measure
from benchmarks.report import table
from benchmarks.workloads import STRIDE_SCATTERED, Load, Workload

_IMAGE_BYTES = 1 << 30
_LEAST_SPEED = 0.8
_LIMIT_S = 120
_ADAPTER = "30000003"
_CONFIGURATION = """
[transports.ibmvio]
isolation = "{isolation}"
portals = [{{ address = "{adapter}" }}]
emulated = {{ directory = "{directory}" }}

[logical_units.disk]
device_type = "disk"
store = {{ type = "file", path = "{image}" }}

[targets."disk"]
transport = "ibmvio"
adapters = ["{adapter}"]
luns = ["disk"]
allow = {{ initiators = ["*"] }}
"""


class _Beside(Workload):
    """The same load on a virtual device, by a client partition, and on an iSCSI LUN."""

    def run(self, url: str, seconds: float) -> Load:
        """Put the load on an adapter's socket, or on an iSCSI LUN."""
        return super().run(url, seconds) if url.startswith("iscsi:") else self._run_partition(url, seconds)

    def _run_partition(self, socket: str, seconds: float) -> Load:
        stride = 1 if not self.scattered else STRIDE_SCATTERED if self.write else 0  # as the tools do
        size = {"block-bytes": self.block_bytes, "depth": self.depth, "image-bytes": _IMAGE_BYTES}
        command = [sys.executable, "-m", "benchmarks.client_partition", socket, f"--stride={stride}"]
        command += [f"--seconds={seconds}", *(f"--{name}={value}" for name, value in size.items())]
        command += ["--write"] * self.write
        return Load(**json.loads(subprocess.run(command, capture_output=True, check=True, timeout=_LIMIT_S).stdout))


_WORKLOADS = (
    _Beside("4 KiB random read, depth 32", 4096, 32, scattered=True, least_speed=_LEAST_SPEED),
    _Beside("4 KiB random read, depth 1", 4096, 1, scattered=True),
    _Beside(
        "4 KiB write, depth 32", 4096, 32, write=True, scattered=True, least_speed=_LEAST_SPEED, guess_per_s=30_000
    ),
    _Beside("256 KiB sequential read, depth 8", 256 << 10, 8),
    _Beside("256 KiB sequential write, depth 8", 256 << 10, 8, write=True, guess_per_s=3_000),
)


class _Adapter(Served):
    """A daemon with one virtual device; its address is the adapter's socket."""

    @classmethod
    def of(cls, work: Path, image: Path, *, isolated: bool) -> Self:
        """Serve an image."""
        directory = work / "vio"
        directory.mkdir(exist_ok=True)
        work.chmod(0o711)
        directory.chmod(0o777)  # a process of the transport's own has a user of its own
        where = "process" if isolated else "none"
        text = _CONFIGURATION.format(isolation=where, adapter=_ADAPTER, directory=directory, image=image)
        return cls.configured(work, text, plugins=("ibmvio",))

    @property
    def url(self) -> str:
        """The socket of the adapter."""
        return str(self._work / "vio" / f"{_ADAPTER}.sock")


def main() -> int:
    """Exit status 0 when every target is met, else 1."""
    asked = parser("benchmarks.ibmvio", __doc__)
    where = asked.add_mutually_exclusive_group()
    where.add_argument("--inside", action="store_true", help="only with the transports in the daemon")
    where.add_argument("--isolated", action="store_true", help="only with the transports in processes of their own")
    arguments = asked.parse_args()
    rounds, seconds = arguments.effort
    met = True
    with tempfile.TemporaryDirectory(prefix="bench-ibmvio-") as folder:
        work = Path(folder)
        image, twin = work / "disk.img", work / "twin.img"
        fill(image, _IMAGE_BYTES)
        shutil.copyfile(image, twin)
        for isolated in (arguments.isolated,) if arguments.inside or arguments.isolated else (False, True):
            results: list[Result] = []
            with _Adapter.of(work, image, isolated=isolated) as ours, served(work, twin, isolated=isolated) as peer:
                for workload in chosen(_WORKLOADS, arguments.only):
                    read_in(image, twin)
                    results.append(measure(workload, ours, peer, rounds, seconds))
                    print(f"measured: {workload.name}", flush=True)
            print("in processes of their own:" if isolated else "in the daemon:")
            print(table(results, "ibmvio", "iscsi"), flush=True)
            met = met and all(result.met for result in results)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
