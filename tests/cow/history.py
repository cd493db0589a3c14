"""What a disk holds, and what else it may hold after a crash: each sector is as durable as the last flush, or newer."""

from dataclasses import dataclass, field

SECTOR_BYTES = 512


@dataclass
class History:
    """The model beside an image.

    :param content: what a read returns now.
    :param snapshots: content by name, in order of their making.
    """

    content: bytearray
    snapshots: dict[str, bytes] = field(default_factory=dict)
    past: list[bytearray] = field(default_factory=list)
    """What a read would have returned since the last flush, oldest first, without the present."""

    @property
    def states(self) -> list[bytearray]:
        """Past and present."""
        return [*self.past, self.content]

    def _begin(self) -> None:
        self.past.append(self.content[:])

    def write(self, offset: int, data: bytes) -> None:
        """Some bytes are others now."""
        self._begin()
        self.content[offset : offset + len(data)] = data

    def write_through(self, offset: int, data: bytes) -> None:
        """Some bytes are others now, for good."""
        self.content[offset : offset + len(data)] = data
        for state in self.past:
            state[offset : offset + len(data)] = data[: max(len(state) - offset, 0)]

    def clear(self, offset: int, length: int) -> None:
        """Some bytes are zero now."""
        self.write(offset, bytes(length))

    def resize(self, size_bytes: int) -> None:
        """The disk is longer, with zeroes, or shorter."""
        self._begin()
        del self.content[size_bytes:]
        self.content.extend(bytes(size_bytes - len(self.content)))

    def revert(self, name: str) -> None:
        """The disk is as it was."""
        self._begin()
        self.content = bytearray(self.snapshots[name])

    def durable(self) -> None:
        """Everything until now is."""
        self.past.clear()

    def found(self, content: bytes, *, bytewise: bool = False) -> None:
        """This is what was there after a crash; see :func:`assert_possible`."""
        assert_possible(content, self.states, bytewise=bytewise)
        self.content = bytearray(content)
        self.past.clear()


def assert_possible(found: bytes, states: list[bytearray], *, bytewise: bool = False) -> None:
    """Each sector is as it was in one of the states.

    :param bytewise: that much is asked of each byte only: parts of a sector were written one after the other, and a power cut may
        have left the last one without those before.
    """
    sizes = {len(state) for state in states}
    assert len(found) in sizes, f"the disk has {len(found)} bytes, expected one of {sorted(sizes)}"
    if any(found == state for state in states):
        return
    padded = [bytes(state[: len(found)]).ljust(len(found), b"\0") for state in states]
    for at in range(0, len(found), SECTOR_BYTES):
        sector = found[at : at + SECTOR_BYTES]
        expected = [state[at : at + SECTOR_BYTES] for state in padded]
        if sector in expected or (bytewise and _each_byte_is_in_one(sector, expected)):
            continue
        raise AssertionError(
            f"the sector at {at} is as it never was since the last flush ({len(states)} states): {sector[:16].hex()}..., "
            f"expected one of {sorted({one[:16].hex() for one in expected})}"
        )


def _each_byte_is_in_one(sector: bytes, expected: list[bytes]) -> bool:
    return all(byte in {one[at] for one in expected} for at, byte in enumerate(sector))


def assert_same(found: bytes | bytearray | memoryview, expected: bytes | bytearray, what: str, at: int = 0) -> None:
    """The bytes are these; says which one is not.

    :param at: offset of the first one.
    """
    if found == expected:
        return
    assert len(found) == len(expected), f"{what} at {at}: {len(found)} bytes, expected {len(expected)}"
    wrong = [index for index in range(len(expected)) if found[index] != expected[index]]
    first = wrong[0]
    raise AssertionError(
        f"{what}: {len(wrong)} bytes from {at + first} to {at + wrong[-1]} are wrong; the first is {found[first]:#04x}, "
        f"expected {expected[first]:#04x}"
    )
