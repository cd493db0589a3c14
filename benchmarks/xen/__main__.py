"""Our back end of Xen's virtual SCSI beside the kernel's, ``xen-scsiback`` with fileio of LIO, in domain 0 of a real Xen.

Domain 0 is its own guest; its driver ``xen-scsifront`` has an HBA of each.  The machine is emulated, with one processor, which the
front end and the load generator use too.  Needs what the tests of tests/guest/xen need, and gcc.
"""

from guest.lab.guest import Guest
from guest.xen.dom0 import Dom0
from guest.xen.machine import XEN

from benchmarks.asking import Effort, chosen, parser
from benchmarks.paired import Result
from benchmarks.report import table
from benchmarks.workloads import Workload
from benchmarks.xen import load, media
from benchmarks.xen.back_ends import Kernels, Ours
from benchmarks.xen.counting import count, counts_table
from benchmarks.xen.rounds import Bench

WORKLOADS = (
    Workload("4 KiB random read, depth 16", 4096, 16, scattered=True, least_speed=0.3),
    Workload("4 KiB random read, depth 1", 4096, 1, scattered=True),
    Workload("4 KiB random write, depth 16", 4096, 16, write=True, scattered=True),
    Workload("512 KiB sequential read, depth 4", 512 << 10, 4, least_speed=0.8),
    Workload("512 KiB sequential write, depth 4", 512 << 10, 4, write=True),
)


def main() -> int:
    """Exit status 0 when every target is met, else 1."""
    arguments = parser("benchmarks.xen", __doc__, usual=Effort(6, 3), quick=Effort(4, 1)).parse_args()
    rounds, seconds = arguments.effort
    workloads = chosen(WORKLOADS, arguments.only)
    with Guest(XEN) as guest:
        dom0 = Dom0(guest)
        load.install(guest)
        media.prepare(guest)
        peer = Kernels(guest)
        ours = Ours(dom0)
        bench = Bench(guest, ours, peer)
        results: list[Result] = []
        for workload in workloads:
            results.append(bench.measure(workload, rounds, seconds))
            print(f"measured: {workload.name}", flush=True)
        counted = [(workload, count(guest, ours, workload, seconds)) for workload in workloads]
    print(table(results, "ours", "LIO"))
    print("\nof ours, counted in rounds of their own:")
    print(counts_table(counted))
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
