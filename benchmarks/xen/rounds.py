"""Rounds on the two back ends in turn."""

from guest.lab.guest import Guest

from benchmarks.paired import Result, Sample, median_of
from benchmarks.workloads import Workload
from benchmarks.xen import load
from benchmarks.xen.back_ends import BackEnd, Ours
from benchmarks.xen.processor import Used


class Bench:
    """Both back ends in one guest."""

    def __init__(self, guest: Guest, ours: Ours, peer: BackEnd) -> None:
        self._guest = guest
        self._ours = ours
        self._peer = peer

    def measure(self, workload: Workload, rounds: int, seconds: float) -> Result:
        """Ours, the peer, the peer, ours, and so on, after one short round each that warms them up."""
        order = (self._ours, self._peer)
        taken: dict[BackEnd, list[Sample]] = {one: [] for one in order}
        for one in order:
            load.run(self._guest, workload, 1, one.disks)
        for number in range(rounds):
            for one in reversed(order) if number % 2 else order:
                taken[one].append(self._sample(workload, seconds, one))
        return Result(workload, median_of(taken[self._ours]), median_of(taken[self._peer]))

    def _sample(self, workload: Workload, seconds: float, one: BackEnd) -> Sample:
        """One round; the processor time is that of the daemon and of all threads of the kernel."""
        before = Used.by(self._guest, self._ours.pid)
        done = load.run(self._guest, workload, seconds, one.disks)
        used = sum(Used.by(self._guest, self._ours.pid)) - sum(before)
        return Sample(done.commands / done.seconds, used / done.commands * 1e6)
