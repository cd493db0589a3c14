"""A medium with a cache that loses in a crash what was not flushed."""

import random

from sim.contents import Contents

BLOCK_BYTES = 512
BLOCKS_MAX = 48


class Medium:
    """Blocks that outlive the daemon.

    :param name: as in the configuration.
    """

    def __init__(self, name: str, size_bytes: int) -> None:
        self.name = name
        self.content = bytearray(size_bytes)
        self.contents = Contents(BLOCKS_MAX)
        """What initiators may expect to find."""
        self.user: object | None = None
        """The store that has it open."""
        self._cached: dict[int, list[bytes]] = {}
        """Block → what it has held since the last flush, what is durable first."""

    @property
    def size_bytes(self) -> int:
        """Its size now."""
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        """What it holds."""
        return bytes(self.content[offset : offset + length])

    def write(self, offset: int, data: "bytes | memoryview") -> None:
        """Put data into the cache."""
        for at in range(0, len(data), BLOCK_BYTES):
            start = offset + at
            versions = self._cached.get(start)
            if versions is None:
                versions = self._cached[start] = [bytes(self.content[start : start + BLOCK_BYTES])]
            block = bytes(data[at : at + BLOCK_BYTES])
            versions.append(block)
            self.content[start : start + BLOCK_BYTES] = block

    def flush(self) -> None:
        """Make everything durable."""
        self._cached.clear()

    def resize(self, size_bytes: int) -> None:
        """Cut off, or append zeroes; durable at once."""
        if size_bytes < len(self.content):
            for start in [start for start in self._cached if start >= size_bytes]:
                del self._cached[start]
            self.contents.cut(size_bytes // BLOCK_BYTES)
        self.content = self.content[:size_bytes].ljust(size_bytes, b"\0")

    def crash(self, chance: random.Random) -> None:
        """Each block falls back to some version that it had since the last flush."""
        for start, versions in self._cached.items():
            self.content[start : start + BLOCK_BYTES] = chance.choice(versions)
        self._cached.clear()
        self.user = None
        self.contents.crash()
