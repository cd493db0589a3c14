"""Looks at L2 tables: what each of their entries points to, and whether it may."""

from collections.abc import Iterator

from tgtcore_cow.qcow2.examination import Examination, mark_sentence, remedy_of_overlap, word
from tgtcore_cow.qcow2.findings import Remedy
from tgtcore_cow.qcow2.layout import ALL_SUBCLUSTERS, COMPRESSED, COPIED, OFFSET, SUBCLUSTERS, ZERO
from tgtcore_cow.qcow2.places import is_hole, read_words
from tgtcore_cow.qcow2.references import Role, named

_RESERVED = 0x3F00_0000_0000_01FE


def walk_l2_tables(image: Examination) -> None:
    """Look at every L2 table once, however many L1 tables share it."""
    rules = _Rules(image)
    length = image.header.layout.cluster_bytes
    for cluster in image.references.marked(Role.L2):
        if not is_hole(image.file, cluster * length, length):
            _Table(image, rules, cluster).look()


class _Rules:
    """What the features of an image allow in an entry."""

    def __init__(self, image: Examination) -> None:
        sizes = image.header.layout
        self.own_data = not image.header.has_data_file
        zero = ZERO if image.header.version >= 3 and not sizes.extended_l2 else 0
        self.reserved = (_RESERVED | ZERO) & ~zero
        self.misaligned = OFFSET & (sizes.cluster_bytes - 1)
        self.strange = COMPRESSED | self.reserved | self.misaligned
        self.nothing = zero
        """The highest entry that has no place and nothing wrong: that of a cluster that reads as zeroes, if there is such a bit."""


class _Table:
    """One L2 table.

    Ordinary entries are handled as lists, a table at a time; only those that are strange get a look of their own.
    """

    def __init__(self, image: Examination, rules: _Rules, cluster: int) -> None:
        sizes = image.header.layout
        self._image, self._rules, self._sizes = image, rules, sizes
        self._references, self._findings = image.references, image.findings
        self._offset = cluster << sizes.cluster_bits
        self._weight = image.references.count(cluster)
        self._active = bool(image.references.roles(cluster) & Role.ACTIVE_L2)
        words = read_words(image.file, self._offset, sizes.cluster_bytes >> 3)
        self._entries = words[:: sizes.words_per_entry]
        self._bitmaps = words[1::2] if sizes.extended_l2 else None
        self._copied: list[int] = []
        """Clusters of data that are marked as used once."""
        self._shared: list[int] = []
        """Clusters of data that are not."""

    def look(self) -> None:
        """Count what the table points to, and report what is wrong."""
        if self._bitmaps is not None:
            self._look_at_bitmaps()
        for index in self._sort():
            self._look_at_strange(index)
        if self._rules.own_data:
            self._leave_impossible_out()
            placed = self._copied + self._shared
            self._references.add(placed, self._weight)
            self._look_at_overlaps(placed)
        if self._active:
            self._image.allocated_clusters += len(self._copied) + len(self._shared)
            self._look_at_marks()

    def _sort(self) -> list[int]:
        bits, nothing, unusual = self._sizes.cluster_bits, self._rules.nothing, self._rules.strange
        copied, shared, strange = self._copied, self._shared, []
        for index, entry in enumerate(self._entries):
            if entry <= nothing:
                continue
            if entry & unusual:
                strange.append(index)
            elif entry & COPIED:
                copied.append((entry & OFFSET) >> bits)
            else:
                shared.append(entry >> bits)
        return strange

    # ---- where and what ---------------------------------------------------------------------------------------------

    def _where(self, index: int) -> int:
        return self._offset + index * 8 * self._sizes.words_per_entry

    def _what(self, index: int) -> str:
        return f"entry {index} of the L2 table at {self._offset:#x}, {self._entries[index]:#018x},"

    def _wrong(self, index: int, what: str, entry: int) -> None:
        """Report an entry that must be another one."""
        self._findings.error(self._where(index), f"{self._what(index)} {what}", Remedy.ENTRY, word(entry))
        self._entries[index] = entry

    def _useless(self, index: int, what: str, remedy: Remedy = Remedy.ENTRY, *, lost: bool = True) -> None:
        """Report an entry that points to no place where data can be."""
        patch = None
        if remedy is Remedy.ENTRY:
            entry = self._entries[index]
            patch = word(0 if entry & COMPRESSED else entry & self._rules.nothing)
            if self._bitmaps is not None:
                patch += word(0 if entry & COMPRESSED else self._bitmaps[index] & ~ALL_SUBCLUSTERS)
        self._findings.error(self._where(index), f"{self._what(index)} {what}", remedy, patch, lost=lost)

    def _pointing_to(self, clusters: set[int]) -> Iterator[tuple[int, int]]:
        """The uncompressed entries that point to some clusters, with those."""
        bits, nothing = self._sizes.cluster_bits, self._rules.nothing
        for index, entry in enumerate(self._entries):
            if entry > nothing and not entry & COMPRESSED and (entry & OFFSET) >> bits in clusters:
                yield index, (entry & OFFSET) >> bits

    # ---- strange entries --------------------------------------------------------------------------------------------

    def _look_at_strange(self, index: int) -> None:
        entry = self._entries[index]
        if entry & COMPRESSED:
            self._look_at_compressed(index)
            return
        if entry & self._rules.reserved:
            entry &= ~self._rules.reserved
            self._wrong(index, "has reserved bits", entry)
        if entry & self._rules.misaligned:
            self._useless(index, f"points into a cluster, expected a multiple of {self._sizes.cluster_bytes:#x}")
            self._entries[index] = 0
        elif entry > self._rules.nothing:
            chosen = self._copied if entry & COPIED else self._shared
            chosen.append((entry & OFFSET) >> self._sizes.cluster_bits)

    def _look_at_compressed(self, index: int) -> None:
        entry = self._entries[index]
        if not self._rules.own_data:
            self._useless(index, "is compressed, which data in a file of its own can't be")
            return
        if entry & COPIED:
            self._wrong(index, "is compressed and marked as used once, which is for others", entry & ~COPIED)
        offset, length = self._sizes.compressed_place(entry)
        first, last = offset >> self._sizes.cluster_bits, (offset + length - 1) >> self._sizes.cluster_bits
        if last >= self._references.clusters:
            end = self._image.file.size_bytes
            self._useless(
                index, f"has {length} bytes of compressed data at {offset:#x}, beyond the end of the file at {end:#x}"
            )
            return
        others = 0
        for cluster in range(first, last + 1):
            others |= self._references.roles(cluster)
        self._references.add(range(first, last + 1), self._weight)
        if others:
            self._useless(
                index, f"has compressed data in {named(others)}", remedy_of_overlap(others, Remedy.ENTRY), lost=False
            )
        if self._active:
            self._image.allocated_clusters += 1
            self._image.compressed_clusters += 1

    def _look_at_bitmaps(self) -> None:
        """The second word of each extended entry."""
        assert self._bitmaps is not None
        for index, (entry, bitmap) in enumerate(zip(self._entries, self._bitmaps, strict=True)):
            if not bitmap:
                continue
            both = bitmap & (bitmap >> SUBCLUSTERS)
            if entry & COMPRESSED:
                self._wrong_bitmap(index, "is compressed, but tells of subclusters", 0)
            elif bitmap & ALL_SUBCLUSTERS and not entry & (OFFSET if self._rules.own_data else OFFSET | COPIED):
                self._wrong_bitmap(index, "has subclusters with data, but no place for them", bitmap & ~ALL_SUBCLUSTERS)
            elif both:
                self._wrong_bitmap(
                    index, "has subclusters with data that also read as zeroes", bitmap & ~(both << SUBCLUSTERS)
                )

    def _wrong_bitmap(self, index: int, what: str, bitmap: int) -> None:
        assert self._bitmaps is not None
        sentence = f"{self._what(index)} with the bitmap {self._bitmaps[index]:#018x} {what}"
        self._findings.error(self._where(index) + 8, sentence, Remedy.ENTRY, word(bitmap))
        self._bitmaps[index] = bitmap

    # ---- ordinary entries -------------------------------------------------------------------------------------------

    def _leave_impossible_out(self) -> None:
        limit = self._references.clusters
        placed = self._copied + self._shared
        if not placed or (min(placed) > 0 and max(placed) < limit):
            return
        out = {cluster for cluster in placed if not 0 < cluster < limit}
        for index, cluster in self._pointing_to(out):
            if cluster:
                self._useless(index, f"points beyond the end of the file at {self._image.file.size_bytes:#x}")
            else:
                self._useless(index, "is marked as used once, but has no place", lost=False)
        self._copied = [cluster for cluster in self._copied if cluster not in out]
        self._shared = [cluster for cluster in self._shared if cluster not in out]

    def _look_at_overlaps(self, placed: list[int]) -> None:
        taken = self._references.not_data(placed)
        if not taken:
            return
        for index, cluster in self._pointing_to(taken):
            others = self._references.roles(cluster)
            self._useless(index, f"points to {named(others)}", remedy_of_overlap(others, Remedy.ENTRY), lost=False)

    def _look_at_marks(self) -> None:
        if not self._rules.own_data:
            # such data is never shared, so there are no counts of it
            for index, _ in self._pointing_to(set(self._shared)):
                entry = self._entries[index]
                if not entry & COPIED:
                    self._wrong(
                        index, "is not marked as used once, as data in a file of its own always is", entry | COPIED
                    )
            return
        wrong = self._with_count(self._copied, once=False) | self._with_count(self._shared, once=True)
        if not wrong:
            return
        for index, cluster in self._pointing_to(wrong):
            entry, count = self._entries[index], self._image.stored.count(cluster)
            if (count == 1) != bool(entry & COPIED):
                sentence = mark_sentence(self._what(index), cluster, entry, count)
                self._findings.error(self._where(index), sentence, Remedy.COPIED, word(entry ^ COPIED))

    def _with_count(self, clusters: list[int], *, once: bool) -> set[int]:
        """Those of the clusters that are used once according to the file's counts, or those that are not."""
        found: set[int] = set()
        for number, places in self._references.by_block(clusters):
            counts, first = self._image.stored.block(number), number << self._references.block_bits
            found.update(first + place for place in places if (counts[place] == 1) == once)
        return found
