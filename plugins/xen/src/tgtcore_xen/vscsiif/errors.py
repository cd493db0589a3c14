"""What is said of a peer that breaks the protocol."""


class Malformed(ValueError):
    """A request or a response that can't be what the protocol allows.

    :param field: the field that is wrong, in words.
    :param found: its value.
    :param expected: what would have been right, in words.
    """

    def __init__(self, field: str, found: object, expected: str) -> None:
        super().__init__(f"{field} is {found}, expected {expected}")
        self.field = field
        self.found = found
        self.expected = expected


class RingBroken(Exception):
    """The other end of a ring has written an index that can't be: nothing in the ring can be relied on any more."""
