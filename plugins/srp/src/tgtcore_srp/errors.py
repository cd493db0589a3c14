"""What is said when something is refused."""


class Rejected(Exception):
    """A login is refused.

    :param reason: of :class:`~tgtcore_srp.iu.opcodes.RejectReason`, which the initiator is told.
    """

    def __init__(self, reason: int, why: str) -> None:
        super().__init__(why)
        self.reason = reason
