"""What a running process has used, from /proc."""

import os
import re
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(*pids: int) -> float:
    """Seconds of processor time of all threads of some processes, those that have ended too."""
    return sum(map(_ticks, pids)) / _TICKS_PER_S


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return user + system


def resident_bytes(pid: int) -> int:
    """Bytes of memory in use now."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    if not found:
        raise ProcessLookupError(f"process {pid} has ended")
    return int(found.group(1)) << 10
