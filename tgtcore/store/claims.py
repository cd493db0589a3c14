"""Claims: who may write to a store.  Two writers on one medium would destroy it."""

from enum import Enum

from tgtcore.errors import StoreError


class Claim(Enum):
    """What a user of a store intends."""

    READ_SHARED = "read, with others"
    WRITE_EXCLUSIVE = "write, alone"


class Claims:
    """The claims on one store.

    :param what: the store's name, for messages.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._by: dict[str, Claim] = {}

    def claim(self, claim: Claim, by: str) -> None:
        """Record that ``by`` uses the store; claiming again replaces the claimant's earlier claim.

        :raises StoreError: another claimant has it for writing, or ``claim`` is exclusive and anyone else has it.
        """
        others = {name: held for name, held in self._by.items() if name != by}
        if others and (claim is Claim.WRITE_EXCLUSIVE or Claim.WRITE_EXCLUSIVE in others.values()):
            users = ", ".join(f"{name} ({held.value})" for name, held in others.items())
            raise StoreError(f"{self.what} is in use by {users}; {by} can't have it to {claim.value}")
        self._by[by] = claim

    def release(self, by: str) -> None:
        """End a claim; without one, do nothing."""
        self._by.pop(by, None)

    def claimants(self) -> dict[str, Claim]:
        """Everyone who has a claim."""
        return dict(self._by)
