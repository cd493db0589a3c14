"""What a look at an image finds: sentences, as many as a reader can use, and how many there are in all."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

LISTED_MAX = 100
"""So many errors, and so many leaks, are listed; all are counted."""


class Remedy(Enum):
    """What a repair does about an error."""

    NONE = "nothing that a program can decide"
    ENTRY = "write an entry of a table anew"
    BITMAPS = "give the bitmaps up"
    COUNT = "write the reference count anew"
    SNAPSHOTS = "write the snapshot table anew, in another place"
    REBUILD = "write all reference counts anew, in another place"
    COPIED = "write the mark of an entry anew, when the reference counts are right"


class Patch(NamedTuple):
    """Bytes that take the place of others in the file."""

    offset: int
    content: bytes


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be.

    :param offset: where in the file, in bytes.
    :param sentence: what is there, and what was expected.
    """

    offset: int
    sentence: str
    remedy: Remedy

    def __str__(self) -> str:
        return self.sentence


class Findings:
    """Collects what is found.

    :param mend: called with the remedy and the patch of each error that one patch mends.
    """

    def __init__(self, mend: Callable[[Finding, Patch], None] | None = None) -> None:
        self._mend = mend
        self.errors: list[Finding] = []
        self.leaks: list[Finding] = []
        self.error_count = 0
        self.leak_count = 0
        self.remedies: Counter[Remedy] = Counter()
        self.complete = True
        """Whether everything that the image points to was followed: only then a cluster without a reference is surely free."""

    def error(
        self, offset: int, sentence: str, remedy: Remedy, patch: bytes | None = None, *, lost: bool = False
    ) -> None:
        """Something is wrong at ``offset``; ``patch`` is what must be there.

        :param lost: what it points to could not be followed.
        """
        finding = Finding(offset, sentence, remedy)
        self.error_count += 1
        self.remedies[remedy] += 1
        self.complete = self.complete and not lost
        if len(self.errors) < LISTED_MAX:
            self.errors.append(finding)
        if patch is not None and self._mend:
            self._mend(finding, Patch(offset, patch))

    def leak(self, offset: int, sentence: str) -> None:
        """A cluster has a higher count than it has references: space is lost, nothing else."""
        self.leak_count += 1
        if len(self.leaks) < LISTED_MAX:
            self.leaks.append(Finding(offset, sentence, Remedy.COUNT))
