"""The load generator: a small program in C, compiled here, run in the guest."""

import subprocess
from pathlib import Path

from guest.lab.guest import Guest

from benchmarks.workloads import Load, Workload

_SOURCE = Path(__file__).parent / "load.c"
_PROGRAM = "/run/load"
_LIMIT_S = 120


def install(guest: Guest) -> None:
    """Compile it, and put it into a guest."""
    program = guest.work / "load"
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-static", "-s", "-o", program, _SOURCE], check=True, timeout=60)
    guest.put(_PROGRAM, program.read_bytes())
    guest.run(f"chmod +x {_PROGRAM}")


def run(guest: Guest, workload: Workload, seconds: float, disks: list[str]) -> Load:
    """Put a load on disks, and wait for its end."""
    where = "scattered" if workload.scattered else "sequential"
    what = f"{workload.block_bytes} {workload.depth} {'write' if workload.write else 'read'} {where}"
    used = " ".join(disks[: workload.depth])
    commands, took = guest.text(f"{_PROGRAM} {seconds} {what} {used}", timeout_s=_LIMIT_S).split()
    return Load(int(commands), float(took))
