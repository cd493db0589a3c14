"""How results are shown."""

from benchmarks.paired import Result


def table(results: list[Result], ours: str, peer: str) -> str:
    """A row for each workload: speed and processor time of both, and whether what is expected holds."""
    speeds = f"{ours + '/s':>11}{peer + '/s':>11}{'ratio':>7}{'target':>8}"
    head = f"{'workload':36}{speeds}{'us/cmd':>8}{'peer':>8}{'ratio':>7}{'target':>8}"
    lines = [head, "-" * len(head)]
    for result in results:
        speed, cpu = result.workload.least_speed, result.workload.most_cpu
        lines.append(
            f"{result.workload.name:36}{result.ours.per_s:11.0f}{result.peer.per_s:11.0f}{result.speed:7.2f}"
            f"{_target('>=', speed):>8}{result.ours.cpu_us:8.1f}{result.peer.cpu_us:8.1f}{result.cpu:7.2f}"
            f"{_target('<=', cpu):>8}  {word(result.met)}"
        )
    return "\n".join(lines)


def _target(sign: str, value: float | None) -> str:
    return "" if value is None else f"{sign}{value:.1f}"


def word(met: bool) -> str:
    """The last word on a measurement."""
    return "met" if met else "MISSED"
