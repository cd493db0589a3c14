"""Making writes to one open file durable, without forgetting a failure.

After a failed write-back Linux drops the pages that it could not write and reports the error once for each open file, to
whichever call for durability comes first: the next call would succeed although acknowledged data is gone.
"""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Durability:
    """Whether what was written to an open file can still be promised to last.

    :param path: of the file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lost: str | None = None
        self._under_way: set[object] = set()
        self._changed = threading.Condition()

    def _check(self) -> None:
        if self._lost:
            raise OSError(
                errno.EIO,
                f"{self._path}: an earlier flush failed ({self._lost}) and writes may be lost; check it and open it again",
            )

    @contextmanager
    def promise(self) -> Iterator[None]:
        """Around system calls that make writes durable: when it is left without an exception, they are.

        :raises OSError: they may not be; every later promise fails as well.
        """
        self._check()
        call = object()
        with self._changed:
            self._under_way.add(call)
        try:
            yield
        except OSError as error:
            self._lost = error.strerror or str(error)
            raise
        finally:
            with self._changed:
                self._under_way.remove(call)
                self._changed.notify_all()
                others = frozenset(self._under_way)
        with self._changed:  # one of them may be about to hear that our writes were lost
            self._changed.wait_for(lambda: self._under_way.isdisjoint(others))
        self._check()
