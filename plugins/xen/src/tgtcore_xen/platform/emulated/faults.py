"""What goes wrong in an emulated machine, as a test orders it."""

from collections.abc import Callable
from dataclasses import dataclass, field


def _no_refusal(operation: str, path: str) -> int:
    return 0


def _no_failure(domid: int, reference: int) -> bool:
    return False


@dataclass
class Faults:
    """Nothing goes wrong, until it is changed."""

    store_gone: bool = False
    """Whether the store's server is gone: calls raise ECONNRESET."""
    store_delay_s: float = 0.0
    """How long the store takes for each answer."""
    conflicts: int = 0
    """How many transactions are going to be told that somebody else was faster."""
    refuses: Callable[[str, str], int] = field(default=_no_refusal)
    """Asked with ``read``, ``list``, ``write``, ``make``, ``remove`` or ``permit``, and a path; the error number, or 0."""
    copy_fails: Callable[[int, int], bool] = field(default=_no_failure)
    """Asked with a domid and a reference for each piece that is copied."""
    map_fails: Callable[[int, int], bool] = field(default=_no_failure)
    """Asked with a domid and a reference that is to be mapped."""
    bind_fails: Callable[[int, int], bool] = field(default=_no_failure)
    """Asked with a domid and a port that is to be bound."""
