"""What an initiator says of a target that breaks the standard."""


class Violation(AssertionError):
    """The target has sent what it must not send; the message says which rule was broken, and where."""
