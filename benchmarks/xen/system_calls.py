"""Counts system calls of a process by the kernel's own tracepoints, which is less in the way than strace."""

import re
from collections import Counter

from guest.lab.guest import Guest

_TRACING = "/sys/kernel/tracing"
_EVENT = f"{_TRACING}/events/raw_syscalls/sys_enter"
_COUNT = "hist:keys=common_pid,id.syscall:size=4096"
_LINE = re.compile(r"common_pid:\s+(\d+), id: sys_(\w+)\s+\[\s*\d+\] \} hitcount:\s+(\d+)")


class SystemCalls:
    """The system calls of all threads of a process while it is entered; a context manager."""

    def __init__(self, guest: Guest, pid: int) -> None:
        self._guest = guest
        self._pid = pid
        self.counts: Counter[str] = Counter()
        """By name, once it was left."""

    def __enter__(self) -> "SystemCalls":
        self._guest.run(
            f"[ -e {_TRACING}/events ] || mount -t tracefs tracefs {_TRACING}; echo '{_COUNT}' >{_EVENT}/trigger"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._guest.run(f"cat {_EVENT}/hist >/tmp/calls; echo '!{_COUNT}' >{_EVENT}/trigger")
        threads = set(self._guest.text(f"ls /proc/{self._pid}/task").split())
        for thread, name, count in _LINE.findall(self._guest.text("cat /tmp/calls")):
            if thread in threads:
                self.counts[name] += int(count)
