"""How much memory connections may hold: each one its share, and less when all together hold too much."""

from tgtcore_iscsi.limits import ALL_CONNECTIONS_BYTES_HIGH, CONNECTION_BYTES_HIGH, CONNECTION_BYTES_LOW


class Memory:
    """What all connections of the transport hold: data on its way in or out, and what their unfinished commands will still need.

    Connections tell after each batch of requests, so the sum is as exact as one batch.
    """

    __slots__ = ("held_bytes",)

    def __init__(self) -> None:
        self.held_bytes = 0

    @property
    def share_bytes(self) -> int:
        """What one connection may hold in each direction before it has to wait for its own commands to end."""
        return CONNECTION_BYTES_HIGH if self.held_bytes <= ALL_CONNECTIONS_BYTES_HIGH else CONNECTION_BYTES_LOW
