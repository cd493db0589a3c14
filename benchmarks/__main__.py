"""Our daemon beside Debian's tgtd (package tgt) on the same image, and with its transport in a process of its own beside that.

Needs the Debian packages tgt, libiscsi-bin, qemu-utils and qemu-block-extra.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from oracle.debian_tgtd import DebianTgtd
from oracle.libiscsi import Session
from oracle.served import Served

from benchmarks.isolation import measure_isolation
from benchmarks.paired import Result, measure
from benchmarks.process import resident_bytes
from benchmarks.reload import measure_reloads
from benchmarks.workloads import WORKLOADS

_IMAGE_BYTES = 1 << 30
_MOST_READY_S = 0.7
_MOST_RESIDENT_BYTES = 80_000_000


def main() -> int:
    """Exit status 0 when every target is met, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds of one second instead of five of three")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    arguments = parser.parse_args()
    rounds, seconds = (3, 1) if arguments.quick else (5, 3)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        image = work / "disk.img"
        _fill(image)
        start = _start(work, image, rounds)
        with Served.disk(work, image) as ours, DebianTgtd(image) as peer:
            results = []
            for workload in WORKLOADS:
                if arguments.only in workload.name:
                    results.append(measure(workload, ours, peer, rounds, seconds))
                    print(f"measured: {workload.name}", flush=True)
        isolated = measure_isolation(work, image, arguments.only, rounds, seconds)
        with Served.disk(work, image) as ours:
            reloads = measure_reloads(ours, "file", 4 * rounds, _IMAGE_BYTES)
    print(_table(results, "ours", "tgtd"))
    print(start[0])
    print(f"{reloads}: {_word(reloads.met)}")
    print()
    print(_table(isolated, "isolated", "inside"))
    return 0 if start[1] and reloads.met and all(result.met for result in (*results, *isolated)) else 1


def _fill(image: Path) -> None:
    """An image without holes, in the page cache, the same for both."""
    chunk = bytes(range(256)) * 4096
    with image.open("wb") as file:
        for _ in range(_IMAGE_BYTES // len(chunk)):
            file.write(chunk)


def _start(work: Path, image: Path, rounds: int) -> tuple[str, bool]:
    ready, resident = [], []
    for _ in range(rounds):
        with Served.disk(work, image) as daemon:
            ready.append(daemon.ready_s)
            with Session(daemon.url) as session:
                session.ready()
                resident.append(resident_bytes(daemon.pid))
    seconds, size = statistics.median(ready), statistics.median(resident)
    met = seconds < _MOST_READY_S and size < _MOST_RESIDENT_BYTES
    text = (
        f"ready in {seconds:.2f} s (target < {_MOST_READY_S} s), "
        f"{size / 1e6:.1f} MB resident with one LUN (target < {_MOST_RESIDENT_BYTES / 1e6:.0f} MB): {_word(met)}"
    )
    return text, met


def _table(results: list[Result], ours: str, peer: str) -> str:
    speeds = f"{ours + '/s':>11}{peer + '/s':>11}{'ratio':>7}{'target':>8}"
    head = f"{'workload':36}{speeds}{'us/cmd':>8}{'peer':>8}{'ratio':>7}{'target':>8}"
    lines = [head, "-" * len(head)]
    for result in results:
        speed, cpu = result.workload.least_speed, result.workload.most_cpu
        lines.append(
            f"{result.workload.name:36}{result.ours.per_s:11.0f}{result.peer.per_s:11.0f}{result.speed:7.2f}"
            f"{_target('>=', speed):>8}{result.ours.cpu_us:8.1f}{result.peer.cpu_us:8.1f}{result.cpu:7.2f}"
            f"{_target('<=', cpu):>8}  {_word(result.met)}"
        )
    return "\n".join(lines)


def _target(sign: str, value: float | None) -> str:
    return "" if value is None else f"{sign}{value:.1f}"


def _word(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    raise SystemExit(main())
