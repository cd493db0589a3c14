"""Repairs an image, so that an interruption at any point leaves it no worse than it was."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from tgtcore import Features, Store
from tgtcore_cow.qcow2 import bitmaps, snapshot_table
from tgtcore_cow.qcow2.check import Report, examine, look
from tgtcore_cow.qcow2.comparison import counts_of_block
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.findings import LISTED_MAX, Finding, Findings, Patch, Remedy
from tgtcore_cow.qcow2.header import Autoclear, Incompatible
from tgtcore_cow.qcow2.places import write_part
from tgtcore_cow.qcow2.rebuild import rebuild_counts, write_header
from tgtcore_cow.qcow2.refcount_codec import TYPECODES, pack

What = Literal["leaks", "all"]


@dataclass(frozen=True)
class Repaired:
    """What a repair has done.

    :param before: what was found.
    :param after: what is found now; what is left in it can't be repaired, or not by this kind of repair.
    :param mended: the entries of tables that were written anew, such as those that pointed to no place where data can be and are
        unallocated now; only the first of them.
    :param mended_count: how many there were.
    :param bitmaps_dropped: the dirty bitmaps were damaged and are not valid any more.
    :param counts_rebuilt: the reference counts are in a new place, and so is the snapshot table if it was not complete.
    """

    before: Report
    after: Report
    mended: tuple[Finding, ...] = ()
    mended_count: int = 0
    bitmaps_dropped: bool = False
    counts_rebuilt: bool = False


def repair(file: Store, what: What = "leaks") -> Repaired:
    """Repair an image that nobody has open.

    :param what: ``leaks``: free what is not used; nothing else of the image changes.  ``all``: also make reference counts right
        that are too low, and write entries of tables anew that can't be right; what points to no place where data can be becomes
        unallocated, whatever it was meant to be.
    :raises ImageError: it is no image, can't be written, or is so damaged that this kind of repair would endanger data.
    """
    if Features.WRITE not in file.features():
        raise ImageError("the image was opened for reading only, so it can't be repaired")
    return _Repair(file).run(what)


class _Repair:
    """One repair: each step is durable before the next one, which relies on it, begins."""

    def __init__(self, file: Store) -> None:
        self._file = file
        self._mended: list[Finding] = []
        self._mended_count = 0
        self._rebuilt = False

    def run(self, what: What) -> Repaired:
        self._look()
        before = self._report
        dropped = False
        if what == "all":
            dropped = Remedy.BITMAPS in self._findings.remedies
            self._write_entries()
        elif not before.complete:
            raise ImageError(
                f"what looks like a leak may be data, because not everything could be followed: {before.errors[0]}"
            )
        if not self._report.clean:
            self._write_counts(what)
            if what == "all" or not before.error_count:
                self._write_marks()
        self._clear_bits()
        return Repaired(before, self._report, tuple(self._mended), self._mended_count, dropped, self._rebuilt)

    def _look(self) -> None:
        self._findings = Findings()
        self._image, self._report = look(self._file, self._findings)

    # ---- entries ----------------------------------------------------------------------------------------------------

    def _write_entries(self) -> None:
        """Everything that can be mended without counts."""
        remedies = self._findings.remedies
        if Remedy.BITMAPS in remedies:
            header = self._image.header
            write_header(self._file, replace(header, autoclear=header.autoclear & ~Autoclear.BITMAPS))
        if Remedy.ENTRY in remedies:
            self._give_bitmaps_up()
            self._mend(Remedy.ENTRY)
        if remedies.keys() & {Remedy.BITMAPS, Remedy.ENTRY}:
            self._look()

    def _give_bitmaps_up(self) -> None:
        """They don't know what else of the disk is about to change."""
        header = self._image.header
        if Remedy.BITMAPS not in self._findings.remedies and bitmaps.give_up(self._file, header):
            self._file.flush()

    def _write_marks(self) -> None:
        """The bits that say whether something is used once; only counts that are right can tell."""
        if self._report.complete and self._findings.remedies.keys() == {Remedy.COPIED}:
            self._mend(Remedy.COPIED)
            self._look()

    def _mend(self, remedy: Remedy) -> None:
        def mend(finding: Finding, patch: Patch) -> None:
            if finding.remedy is not remedy:
                return
            write_part(self._file, *patch)
            self._mended_count += 1
            if len(self._mended) < LISTED_MAX:
                self._mended.append(finding)

        examine(self._file, Findings(mend))
        self._file.flush()

    # ---- counts -----------------------------------------------------------------------------------------------------

    def _write_counts(self, what: What) -> None:
        if what == "leaks":
            self._write_blocks(min)
        elif not self._report.complete:
            # what could not be followed may be in use: better too many counts than too few
            self._write_blocks(max)
        else:
            if self._findings.remedies.keys() & {Remedy.REBUILD, Remedy.SNAPSHOTS}:
                self._rebuild()
            self._write_blocks(lambda counted, needed: needed)
        self._look()

    def _rebuild(self) -> None:
        """Everything that gets another place."""
        snapshots = b""
        if Remedy.SNAPSHOTS in self._findings.remedies:
            snapshots = snapshot_table.encode(snapshot_table.read(self._file, self._image.header)[0])
        end = min(self._report.image_end_offset >> self._image.header.cluster_bits, self._image.references.clusters)
        rebuild_counts(examine(self._file, Findings(), counts=False), end, snapshots)
        self._rebuilt = True
        self._look()

    def _write_blocks(self, choose: Callable[[int, int], int]) -> None:
        """Write each refcount block that is to hold other counts; ``choose`` gets the present one and the number of references."""
        image, order = self._image, self._image.header.refcount_order
        highest = image.header.layout.refcount_max
        for number, offset in image.stored.blocks.items():
            counted, needed = counts_of_block(image, number)
            if counted == needed:
                continue
            wanted = array(
                TYPECODES[order], (min(choose(*pair), highest) for pair in zip(counted, needed, strict=True))
            )
            if wanted != counted:
                write_part(self._file, offset, pack(wanted, order))
        self._file.flush()

    # ---- the header -------------------------------------------------------------------------------------------------

    def _clear_bits(self) -> None:
        """What is right again is not marked as damaged any more."""
        header = self._image.header
        bits = header.incompatible & (Incompatible.DIRTY | Incompatible.CORRUPT)
        if bits and not self._report.error_count:
            write_header(self._file, replace(header, incompatible=header.incompatible & ~bits))
            self._report = replace(self._report, dirty=False, corrupt=False)
