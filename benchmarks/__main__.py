"""Our daemon beside Debian's tgtd (package tgt) on the same image, and with its transport in a process of its own beside that.

Needs the Debian packages tgt, libiscsi-bin, qemu-utils and qemu-block-extra.
"""

import statistics
import tempfile
from pathlib import Path

from oracle.debian_tgtd import DebianTgtd
from oracle.libiscsi import Session
from oracle.served import Served

from benchmarks.asking import chosen, parser
from benchmarks.image import fill
from benchmarks.isolation import measure_isolation
from benchmarks.paired import measure
from benchmarks.pauses import measure_pauses
from benchmarks.process import resident_bytes
from benchmarks.report import table, word
from benchmarks.workloads import WORKLOADS

_IMAGE_BYTES = 1 << 30
_MOST_READY_S = 0.7
_MOST_PAUSE_S = 0.1
_MOST_RESIDENT_BYTES = 80_000_000


def main() -> int:
    """Exit status 0 when every target is met, else 1."""
    arguments = parser("benchmarks", __doc__).parse_args()
    rounds, seconds = arguments.effort
    workloads = chosen(WORKLOADS, arguments.only)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        image = work / "disk.img"
        fill(image, _IMAGE_BYTES)
        start = _start(work, image, rounds)
        with Served.disk(work, image) as ours, DebianTgtd(image) as peer:
            results = []
            for workload in workloads:
                results.append(measure(workload, ours, peer, rounds, seconds))
                print(f"measured: {workload.name}", flush=True)
        isolated = measure_isolation(work, image, workloads, rounds, seconds)
        with Served.disk(work, image) as ours:
            reloads = measure_pauses(
                ours,
                "reload",
                lambda _: ours.admin("plugin", "reload", "file"),
                4 * rounds,
                _IMAGE_BYTES,
                _MOST_PAUSE_S,
            )
    print(table(results, "ours", "tgtd"))
    print(start[0])
    print(f"{reloads}: {word(reloads.met)}")
    print()
    print(table(isolated, "isolated", "inside"))
    return 0 if start[1] and reloads.met and all(result.met for result in (*results, *isolated)) else 1


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
        f"{size / 1e6:.1f} MB resident with one LUN (target < {_MOST_RESIDENT_BYTES / 1e6:.0f} MB): {word(met)}"
    )
    return text, met


if __name__ == "__main__":
    raise SystemExit(main())
