"""How many bytes a command moves."""

from tgtcore import Task

_ANSWER_BYTES_MAX = 64 * 1024
"""What an answer that is no content of the medium has at most, whatever room the initiator has for it."""


def expected(task: Task) -> int:
    """Before it runs: the data-out that it wants, and the data-in that its initiator has room for, as far as there can be any."""
    assert task.itl is not None
    device = task.itl.device
    blocks = sum(len(one) for one in device.addressed(task))
    into = min(task.expected_in, blocks * device.block_bytes or _ANSWER_BYTES_MAX) if task.expected_in else 0
    return out(task) + into


def out(task: Task) -> int:
    """Data-out that was, or would be, taken from the initiator."""
    return min(task.wanted_out, task.expected_out)


def into(task: Task) -> int:
    """Data-in that the initiator was sent."""
    return 0 if task.data_in is None else min(len(task.data_in), task.expected_in)
