"""What is measured, by which initiator, and what is expected of the ratio to the peer."""

import re
import subprocess
from dataclasses import dataclass

_AVERAGE = re.compile(r"iops average (\d+)")
_COMPLETED = re.compile(r"Run completed in ([\d.]+) seconds")
_BLOCK_BYTES = 512
STRIDE_SCATTERED = 5
"""So many blocks are from one place to the next where QEMU's tool is not to be sequential."""
_LIMIT_S = 120


@dataclass(frozen=True)
class Load:
    """What an initiator did: so many commands in so many seconds."""

    commands: int
    seconds: float


@dataclass(frozen=True)
class Workload:
    """One row of the table; the ratios are ours to the peer's, None where nothing is expected.

    :param scattered: not one place after the other.
    :param tool_reads: let QEMU's tool read too, for a peer that speaks something else than iSCSI.
    :param stride_bytes: how far the places of QEMU's tool lie apart; 0: a few blocks if scattered, else none.
    :param guess_per_s: so many commands QEMU's tool is expected to get answered.
    """

    name: str
    block_bytes: int
    depth: int
    write: bool = False
    scattered: bool = False
    tool_reads: bool = False
    stride_bytes: int = 0
    least_speed: float | None = None
    most_cpu: float | None = None
    guess_per_s: int = 0

    def run(self, url: str, seconds: float) -> Load:
        """Put the load on one LUN and wait for its end."""
        return self._run_tool(url, seconds) if self.write or self.tool_reads else self._run_perf(url, seconds)

    def _run_perf(self, url: str, seconds: float) -> Load:
        blocks = self.block_bytes // _BLOCK_BYTES
        command = ["iscsi-perf", "-m", str(self.depth), "-b", str(blocks), "-t", str(round(seconds))]
        said = _output([*command, *(["-r"] if self.scattered else []), url])
        rate = int(_AVERAGE.findall(said)[-1])
        return Load(round(rate * round(seconds)), round(seconds))

    def _run_tool(self, url: str, seconds: float) -> Load:
        # iscsi-perf can't write; QEMU's tool does a given number of commands, at a stride that is not sequential.
        count = max(100, int(self.guess_per_s * seconds))
        stride = self.stride_bytes or self.block_bytes * (STRIDE_SCATTERED if self.scattered else 1)
        size = ["-s", str(self.block_bytes), "-S", str(stride), "-c", str(count), "-d", str(self.depth)]
        said = _output(["qemu-img", "bench", *(["-w"] if self.write else []), "-f", "raw", "-t", "none", *size, url])
        return Load(count, float(_COMPLETED.findall(said)[0]))


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


WORKLOADS = (
    Workload("4 KiB random read, depth 32", 4096, 32, scattered=True, least_speed=2.0, most_cpu=0.4),
    Workload("4 KiB random read, depth 1", 4096, 1, scattered=True, least_speed=1.0),
    Workload("4 KiB write, depth 32", 4096, 32, write=True, scattered=True, least_speed=1.5, guess_per_s=40_000),
    Workload("256 KiB sequential read, depth 8", 256 << 10, 8, least_speed=1.2),
    Workload("256 KiB sequential write, depth 8", 256 << 10, 8, write=True, least_speed=1.5, guess_per_s=3_000),
)
