"""What our back end does for each command."""

from collections import Counter
from dataclasses import dataclass

from guest.lab.guest import Guest

from benchmarks.workloads import Workload
from benchmarks.xen import load
from benchmarks.xen.back_ends import Ours
from benchmarks.xen.processor import Used
from benchmarks.xen.system_calls import SystemCalls

_RARE = 0.02


@dataclass(frozen=True)
class Counts:
    """Of one workload; all but the first three by one request of the ring, of which a large command may need more than one.

    :param requests_per_command: how many requests the front end makes of a command of the load generator.
    :param requests_per_wake_up: how many requests there were for each time that the front end has notified.
    :param daemon_us: processor time of the daemon for each command of the load generator.
    """

    requests_per_command: float
    requests_per_wake_up: float
    daemon_us: float
    notifications: float
    copy_calls: float
    segments: float
    system_calls: Counter[str]


def count(guest: Guest, ours: Ours, workload: Workload, seconds: float) -> Counts:
    """Two rounds, the second with every system call counted."""
    before, used = ours.figures(), Used.by(guest, ours.pid)
    done = load.run(guest, workload, seconds, ours.disks)
    spent, after = Used.by(guest, ours.pid).daemon - used.daemon, ours.figures()
    with SystemCalls(guest, ours.pid) as called:
        again = load.run(guest, workload, seconds, ours.disks)
    more = {name: after[name] - before[name] for name in ("requests", "wake_ups", "notifications", "copy_calls")}
    requests = more["requests"]
    per_command = requests / done.commands
    return Counts(
        per_command,
        requests / more["wake_ups"],
        spent / done.commands * 1e6,
        more["notifications"] / requests,
        more["copy_calls"] / requests,
        (after["copied_segments"] - before["copied_segments"]) / requests,
        Counter({name: number / again.commands / per_command for name, number in called.counts.items()}),
    )


def counts_table(counted: list[tuple[Workload, Counts]]) -> str:
    """A row for each workload, and its system calls below."""
    head = (
        f"{'for each request':36}{'req/cmd':>8}{'req/wake-up':>13}{'daemon us/cmd':>15}{'notifications':>15}"
        f"{'copy calls':>12}{'segments':>10}{'system calls':>14}"
    )
    lines = [head, "-" * len(head)]
    for workload, counts in counted:
        lines.append(
            f"{workload.name:36}{counts.requests_per_command:8.2f}{counts.requests_per_wake_up:13.2f}"
            f"{counts.daemon_us:15.0f}{counts.notifications:15.2f}{counts.copy_calls:12.2f}{counts.segments:10.1f}"
            f"{counts.system_calls.total():14.2f}"
        )
        usual = [f"{name} {number:.2f}" for name, number in counts.system_calls.most_common(8) if number > _RARE]
        lines.append(f"    {', '.join(usual)}")
    return "\n".join(lines)
