"""Who may do what with a node (docs/misc/xenstore.txt of Xen, SET_PERMS)."""

import enum
import errno
import re
from collections.abc import Sequence
from typing import NamedTuple, Self

_ENTRY = re.compile(r"([nrwb])([0-9]{1,5})")


class Right(enum.IntFlag):
    """What somebody may do."""

    NONE = 0
    READ = 1
    WRITE = 2


_LETTERS = {"n": Right.NONE, "r": Right.READ, "w": Right.WRITE, "b": Right.READ | Right.WRITE}


class Permissions(NamedTuple):
    """Those of one node.

    :param owner: who may do everything.
    :param others: what those may do who are not named.
    :param named: what others may do who are.
    """

    owner: int
    others: Right
    named: tuple[tuple[int, Right], ...] = ()

    @classmethod
    def parse(cls, entries: Sequence[str]) -> Self:
        """From the store's notation, the owner first.

        :raises OSError: EINVAL: it is none.
        """
        found = [_ENTRY.fullmatch(entry) for entry in entries]
        if not found or None in found:
            raise OSError(errno.EINVAL, f"no permissions: {' '.join(entries) or 'nothing'}")
        first, *more = [(int(one[2]), _LETTERS[one[1]]) for one in found if one]
        return cls(first[0], first[1], tuple(more))

    def build(self) -> list[str]:
        """In the store's notation."""
        letters = {right: letter for letter, right in _LETTERS.items()}
        return [f"{letters[right]}{domid}" for domid, right in ((self.owner, self.others), *self.named)]

    def allow(self, domid: int, right: Right) -> bool:
        """Whether a domain has a right; domain 0 has every right."""
        if domid in (0, self.owner):
            return True
        return right in next((has for named, has in self.named if named == domid), self.others)
