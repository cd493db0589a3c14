"""Where a logical unit keeps what must outlive the power."""

from typing import Any, Protocol


class SavedState(Protocol):
    """A place for a small amount of JSON-like data.  Its methods may block; ``save`` is called on a worker thread.

    ``str`` of it says where that is.
    """

    def load(self) -> dict[str, Any]:
        """What was saved last; empty when nothing was.

        :raises OSError: it is there and can't be read.
        """

    def save(self, state: dict[str, Any]) -> None:
        """Replace what was saved; durable on return.

        :raises OSError: it can't be written.
        """
