"""Giving back what a deleted snapshot had, or a disk that went back to one, in steps between which others use the image.

Nothing refers to its tables any more, so a crash on the way costs nothing but space.  Each step changes the image at one stroke:
what the disk has alone again says so from the moment on at which it is counted once.
"""

from array import array
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tgtcore_cow.qcow2.layout import COMPRESSED, COPIED, OFFSET
from tgtcore_cow.qcow2.switch import Switch
from tgtcore_cow.qcow2.volume import Volume

ENTRIES_AT_ONCE = 8192
"""How many entries of L2 tables a step is about, at least: some milliseconds of work while everybody else waits."""


class Place(NamedTuple):
    """Where in a snapshot's tables a step begins: an entry of its L1 table, and one of that L2 table."""

    root: int
    entry: int


class Part(NamedTuple):
    """Entries of an L2 table, from one on and up to another."""

    root: int
    first: int
    stop: int


class Step(NamedTuple):
    """What is given back at one stroke.

    :param clusters: as often as they are used once less.
    :param end: where the next step begins.
    """

    clusters: list[int]
    parts: list[Part]
    end: Place


class Leftovers:
    """The tables of a snapshot or of a former disk, and what they refer to.  One at a time uses it.

    :param l1_offset: where its L1 table is.
    :param l1: what is in that.
    :param punch: gives the space of clusters back.
    """

    def __init__(self, volume: Volume, l1_offset: int, l1: "array[int]", punch: Callable[[list[int]], None]) -> None:
        self._volume = volume
        self._punch = punch
        self._l1_offset = l1_offset
        self._l1 = l1
        self._begin = Place(0, 0)
        self._free: list[int] = []
        """What nothing refers to after the switch that is under way."""

    @property
    def gone(self) -> bool:
        """Whether all of it was given back."""
        return self._begin.root > len(self._l1)

    def next_step(self) -> Step:
        """What is to be given back next; nobody changes these tables, so others may go on meanwhile.

        :raises Corrupt: a table is not what one can be.
        """
        volume, layout = self._volume, self._volume.layout
        most = ENTRIES_AT_ONCE
        clusters: list[int] = []
        parts: list[Part] = []
        root, entry = self._begin
        while most > 0 and root < len(self._l1):
            if offset := self._l1[root] & OFFSET:
                stop = min(entry + most, layout.l2_entries)
                with volume.lock:
                    clusters += volume.map.used_clusters(volume.map.read_table(offset, entry, stop))
                parts.append(Part(root, entry, stop))
                most -= stop - entry
                entry = stop
                if stop < layout.l2_entries:
                    continue
                clusters.append(offset >> layout.cluster_bits)
            root, entry = root + 1, 0
        if root == len(self._l1):
            first = self._l1_offset >> layout.cluster_bits
            clusters += range(first, first + layout.clusters(len(self._l1) * 8))
            root += 1
        return Step(clusters, parts, Place(root, entry))

    def drop(self, switch: Switch, step: Step) -> dict[str, int]:
        """Let a switch count something less; returns what the header says then.  What is free then is left to :meth:`dropped`."""
        volume = self._volume
        less = Counter(step.clusters)
        counts = dict(volume.refcounts.counts(less))
        self._free = [cluster for cluster in step.clusters if counts[cluster] == less[cluster]]
        switch.drop(cluster for cluster in step.clusters if counts[cluster] != less[cluster])
        l1 = self._own_again(switch, {cluster for cluster, count in counts.items() if count - less[cluster] == 1}, step)
        if l1 is None:
            return {}
        switch.drop_place(volume.header.l1_offset, len(l1) * 8)
        return {"l1_offset": switch.place_words(l1)}

    def dropped(self, step: Step) -> None:
        """The switch was carried out: free what nothing refers to any more, while others go on."""
        volume = self._volume
        self._begin = step.end
        gone = sorted(set(self._free))
        self._punch(gone)
        with volume.lock:
            volume.refcounts.add(self._free, -1)
            volume.metadata.difference_update(gone)

    def _own_again(self, switch: Switch, alone: set[int], step: Step) -> "array[int] | None":
        """The L1 table that says what the disk has alone now; None if nothing changes in it.

        What a snapshot has in common with the disk is at the same place in both.

        :param alone: clusters that are used once from now on.
        """
        volume = self._volume
        cluster_map, bits = volume.map, volume.layout.cluster_bits
        l1 = cluster_map.l1[:]
        for root, first, stop in step.parts:
            table = cluster_map.table(root) if root < len(l1) else None
            if table is None:
                continue
            cluster = table.offset >> bits
            own = self._marked(table.words, first, stop, alone)
            if own != table.words:
                l1[root] = switch.place_table(own) | COPIED
                switch.drop([cluster])
            elif cluster in alone:
                l1[root] |= COPIED
        return l1 if l1 != cluster_map.l1 else None

    def _marked(self, words: "array[int]", first: int, stop: int, alone: set[int]) -> "array[int]":
        """An L2 table in which entries up to one tell what they have alone."""
        layout = self._volume.layout
        bits, per_entry = layout.cluster_bits, layout.words_per_entry
        own = words[:]
        entries = slice(first * per_entry, stop * per_entry, per_entry)
        own[entries] = array(
            "Q",
            [
                word | COPIED if (word & OFFSET) >> bits in alone and not word & COMPRESSED else word
                for word in words[entries]
            ],
        )
        return own
