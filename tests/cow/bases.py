"""What images are in while they are tested: memory that can be copied, limited, and taken away in the middle of anything."""

import errno
import threading
from collections.abc import Callable

from tgtcore import Buffer, Concurrency, Extent, Store


class Base(Store):
    """A file in memory which refuses whatever a file of that size would not do.

    :param content: what is there.
    :param room_bytes: it can't become larger than this.
    :param ready: whether the nowait methods answer, or always leave it to the blocking ones.
    """

    concurrency = Concurrency.PARALLEL

    def __init__(self, content: bytes | bytearray = b"", *, room_bytes: int = 1 << 40, ready: bool = True) -> None:
        self.content = bytearray(content)
        self.room_bytes = room_bytes
        self.ready = ready
        self.closed = False

    @property
    def size_bytes(self) -> int:  # type: ignore[override]
        """As long as the content."""
        return len(self.content)

    def copy(self) -> "Base":
        """What a second one with the same bytes is."""
        return Base(self.content, room_bytes=self.room_bytes, ready=self.ready)

    def _within(self, offset: int, length: int) -> None:
        assert not self.closed, "used after it was closed"
        assert offset >= 0, f"{length} bytes at {offset}: before the beginning"
        assert length > 0, f"{length} bytes at {offset}: none"
        assert offset + length <= len(self.content), (
            f"{length} bytes at {offset}: beyond the end at {len(self.content)}"
        )

    def read(self, offset: int, length: int) -> Buffer:
        """A copy."""
        self._within(offset, length)
        return bytes(memoryview(self.content)[offset : offset + length])

    def write(self, offset: int, data: Buffer) -> None:
        """At once."""
        self._within(offset, len(data))
        self.content[offset : offset + len(data)] = data

    def flush(self) -> None:
        """Nothing is left to do."""
        assert not self.closed, "used after it was closed"

    def unmap(self, offset: int, length: int) -> None:
        """Zero the range."""
        self._within(offset, length)
        self.content[offset : offset + length] = bytes(length)

    def write_through(self, offset: int, data: Buffer) -> None:
        """As a write and a flush."""
        self.write(offset, data)
        self.flush()

    def extents(self, offset: int, length: int) -> tuple[Extent]:
        """All of it is there."""
        self._within(offset, length)
        return (Extent(offset, length, True),)

    def resize(self, size_bytes: int) -> None:
        """Cut off or append zeroes, as far as there is room."""
        assert not self.closed, "used after it was closed"
        if size_bytes > self.room_bytes:
            raise OSError(errno.ENOSPC, "no room is left in memory")
        if size_bytes < len(self.content):
            del self.content[size_bytes:]
        self.content.extend(bytes(size_bytes - len(self.content)))

    def close(self) -> None:
        """Whoever uses it afterwards is found out."""
        self.closed = True

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """As a read, if it is ready."""
        return self.read(offset, length) if self.ready else None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """As a write, if it is ready."""
        if self.ready:
            self.write(offset, data)
        return self.ready


class Interrupted(Base):
    """Lets somebody else work while a call is under way.

    :param before: called on another thread before each call of one method takes effect; it has a moment of time.
    """

    _MOMENT_S = 0.2

    def __init__(self, content: bytes | bytearray, method: str, before: Callable[[], None]) -> None:
        super().__init__(content)
        self._method = method
        self._before = before
        self.threads: list[threading.Thread] = []

    def _meanwhile(self, method: str) -> None:
        if method == self._method and not self.threads:
            self.threads.append(threading.Thread(target=self._before))
            self.threads[0].start()
            self.threads[0].join(self._MOMENT_S)  # it may have to wait until this call has ended

    def unmap(self, offset: int, length: int) -> None:
        """Later than somebody else's work, if that could be done."""
        self._meanwhile("unmap")
        super().unmap(offset, length)
