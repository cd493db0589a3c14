"""How much of the guest's processor is used by what serves disks."""

from typing import NamedTuple, Self

from guest.lab.guest import Guest

_TICKS_PER_S = 100
"""USER_HZ of Linux on x86."""
_KERNEL_THREADS = 2
"""The process that all of them are children of."""


class Used(NamedTuple):
    """Seconds of processor time since the beginning.

    :param daemon: of a process, with all its threads.
    :param kernel: of all threads of the kernel, the front end's too.
    """

    daemon: float
    kernel: float

    @classmethod
    def by(cls, guest: Guest, pid: int) -> Self:
        """What was used up to now."""
        daemon = kernel = 0
        for line in guest.text("cat /proc/[0-9]*/stat 2>/dev/null || true").splitlines():
            fields = line.rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            if int(fields[1]) == _KERNEL_THREADS:
                kernel += ticks
            elif line.startswith(f"{pid} "):
                daemon = ticks
        return cls(daemon / _TICKS_PER_S, kernel / _TICKS_PER_S)
