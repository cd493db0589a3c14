"""What is said of an information unit that breaks the standard."""

from tgtcore_srp.iu.opcodes import LogoutReason


class Malformed(ValueError):
    """An information unit, or a table of memory descriptors, that can't be what the standard allows.

    :param iu: which one, by its name in the standard.
    :param field: the field that is wrong, in words.
    :param found: its value.
    :param expected: what would have been right, in words.
    :param reason: what a target may give as its reason when it ends the channel for this.
    """

    def __init__(
        self, iu: str, field: str, found: object, expected: str, reason: LogoutReason = LogoutReason.NONE
    ) -> None:
        super().__init__(f"{iu}: {field} is {found}, expected {expected}")
        self.iu = iu
        self.field = field
        self.found = found
        self.expected = expected
        self.reason = reason
