"""A qcow2 image served by us beside the same one served by qemu-storage-daemon (NBD), and how long snapshots take.

The initiator is qemu-img bench for both, by iSCSI and by NBD.  Needs the Debian packages qemu-utils and qemu-block-extra.
"""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from oracle.served import Served
from tgtcore_cow import Qcow2Image

from benchmarks.asking import chosen, parser
from benchmarks.paired import Daemon, Result, Sample, measure, median_of, sample
from benchmarks.pauses import Pauses, measure_pauses
from benchmarks.report import table, word
from benchmarks.storage_daemon import StorageDaemon
from benchmarks.workloads import Workload

_IMAGE_BYTES = 1 << 30
_NEW_IMAGE_BYTES = 16 << 30
_CLUSTER_BYTES = 65536
_SNAPSHOT_IMAGE_BYTES = 10 << 30
_MOST_SNAPSHOT_S = 0.2

_ALLOCATED = (
    Workload("4 KiB read, depth 32", 4096, 32, tool_reads=True, scattered=True, least_speed=0.7, guess_per_s=40_000),
    Workload("4 KiB write, depth 32", 4096, 32, write=True, scattered=True, guess_per_s=40_000),
    Workload("256 KiB sequential read, depth 8", 256 << 10, 8, tool_reads=True, guess_per_s=4_000),
    Workload("256 KiB sequential write, depth 8", 256 << 10, 8, write=True, guess_per_s=3_000),
)
_ALLOCATING = (
    Workload(
        "4 KiB write to a new cluster each",
        4096, 32, write=True, stride_bytes=_CLUSTER_BYTES, least_speed=0.5, guess_per_s=15_000,
    ),
    Workload("256 KiB write to new clusters", 256 << 10, 8, write=True, guess_per_s=1_500),
)  # fmt: skip


def main() -> int:
    """Exit status 0 when every target is met, else 1."""
    asked = parser("benchmarks.qcow2", __doc__)
    asked.add_argument("--snapshots", action="store_true", help="only how long snapshots take")
    arguments = asked.parse_args()
    rounds, seconds = arguments.effort
    with tempfile.TemporaryDirectory(prefix="bench-qcow2-") as folder:
        work = Path(folder)
        results: list[Result] = []
        if not arguments.snapshots:
            results += _allocated(work, chosen(_ALLOCATED, arguments.only), rounds, seconds)
            allocating = chosen(_ALLOCATING, arguments.only)
            results += [_allocating(work, workload, rounds, seconds) for workload in allocating]
            print(table(results, "ours", "qemu"))
        pauses = _snapshots(work, 4 * rounds)
        for one in pauses:
            print(f"{one}: {word(one.met)}")
    return 0 if all(one.met for one in pauses) and all(result.met for result in results) else 1


def _snapshots(work: Path, rounds: int) -> list[Pauses]:
    """Snapshots are made, and then deleted again, each of them while others are there."""
    image = work / "snapshots.qcow2"
    _half_full(image)
    with _ours(work, image) as ours:
        return [
            measure_pauses(
                ours,
                f"{what} of a half full image of 10 GiB",
                partial(_snapshot, ours, verb),
                times,
                _SNAPSHOT_IMAGE_BYTES // 2,
                _MOST_SNAPSHOT_S,
            )
            for what, verb, times in (
                ("snapshot", "create", rounds),
                ("deletion of a snapshot", "delete", rounds // 4),
            )
        ]


def _snapshot(ours: Served, verb: str, number: int) -> None:
    ours.admin("snapshot", verb, "disk", f"number {number}", "--deadline", "60")


def _ours(work: Path, image: Path) -> Served:
    return Served.qcow2(work, image)


def _peer(work: Path, image: Path) -> StorageDaemon:
    return StorageDaemon(work, image)


_Serve = Callable[[Path, Path], AbstractContextManager[Daemon]]


def _allocated(work: Path, workloads: list[Workload], rounds: int, seconds: float) -> list[Result]:
    """On an image of which every cluster is there, one for each."""
    images = [work / "ours.qcow2", work / "peer.qcow2"]
    for image in images:
        _full(image)
    with _ours(work, images[0]) as ours, _peer(work, images[1]) as peer:
        return [measure(workload, ours, peer, rounds, seconds) for workload in workloads]


def _allocating(work: Path, workload: Workload, rounds: int, seconds: float) -> Result:
    """On an image that is new each time."""
    serves: tuple[_Serve, _Serve] = (_ours, _peer)
    taken: tuple[list[Sample], list[Sample]] = ([], [])
    for _ in range(rounds):
        for serve, samples in zip(serves, taken, strict=True):
            image = work / "new.qcow2"
            Qcow2Image.create(image, _NEW_IMAGE_BYTES).close()
            with serve(work, image) as daemon:
                samples.append(sample(workload, daemon, seconds))
            image.unlink()
    return Result(workload, *map(median_of, taken))


def _full(image: Path) -> None:
    data = bytes(range(256)) * 4096
    with Qcow2Image.create(image, _IMAGE_BYTES) as made:
        for offset in range(0, _IMAGE_BYTES, len(data)):
            made.write(offset, data)


def _half_full(image: Path) -> None:
    with Qcow2Image.create(image, _SNAPSHOT_IMAGE_BYTES) as made:
        for offset in range(0, _SNAPSHOT_IMAGE_BYTES // 2, _CLUSTER_BYTES):
            made.write(offset, b"x" * 4096)


if __name__ == "__main__":
    raise SystemExit(main())
