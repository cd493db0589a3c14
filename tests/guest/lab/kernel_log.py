"""What a guest's kernel complains of, and has not been provoked to."""

import re
from collections.abc import Collection

_STACK = re.compile(r"\bCall Trace:")
_ALARM = re.compile(
    r"conn error|hung task|blocked for more than|timing out|Sense Key|I/O error|\bBUG\b|"
    r"rejecting I/O|Medium access timeout|ping timeout|EXT4-fs error|XFS .*(?:error|corrupt)",
    re.I,
)
_HEADING = re.compile(
    r"\bCPU: \d+ PID: |Hardware name: |Workqueue: |Modules linked in: |"
    r"\b(?:RIP|Code|RSP|RAX|RDX|RBP|R10|R13|FS|CS|CR2|DR\d|PKRU): "
)
"""What stands between the reason that the kernel gives and the stack: who was running, and the registers."""
_OWN_FAULT = re.compile(
    r"WQ_MEM_RECLAIM iscsi_ctrl_\S+ \[scsi_transport_iscsi\] is flushing !WQ_MEM_RECLAIM pm:pm_runtime_work"
)
"""A reason that nothing outside of the guest gives: Linux 6.1 warns of its own work queues, once in the life of a kernel, when a
session is removed while the power management of its disk is at work."""
_CALLERS = 12
"""How many lines of a stack a complaint shows."""


def complaints(log: str, provoked: Collection[str]) -> list[str]:
    """What alarms in a kernel's log and fits no pattern.

    A stack alone says nothing: it is shown with its reason, the last line in front of its heading.  No pattern allows one: what a
    test provokes on purpose is no surprise to the kernel.
    """
    lines = log.splitlines()
    found = []
    for number, line in enumerate(lines):
        if _STACK.search(line):
            reason = _reason(lines, number)
            if not _OWN_FAULT.search(lines[reason]):
                found.append("\n".join(lines[reason : number + 1 + _CALLERS]))
        elif _ALARM.search(line) and not any(re.search(pattern, line) for pattern in provoked):
            found.append(line)
    return found


def _reason(lines: list[str], stack: int) -> int:
    """The number of the line that says why there is a stack; that of the stack when the log begins with its heading."""
    before = (number for number in range(stack - 1, -1, -1) if not _HEADING.search(lines[number]))
    return next(before, stack)
