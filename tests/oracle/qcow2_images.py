"""Images that QEMU makes with each of its options, and damage that a seed chooses."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tgtcore_cow.qcow2.check import examine
from tgtcore_cow.qcow2.examination import Examination
from tgtcore_cow.qcow2.findings import Findings
from tgtcore_cow.qcow2.layout import COPIED
from tgtcore_cow.qcow2.refcount_codec import pack, unpack
from tgtcore_cow.qcow2.references import L2_TABLES, Role

from tgtcore import Store

DISK_BYTES = 64 << 20
_WRITTEN_BYTES = 60 << 20


def run(folder: Path, *command: str | Path) -> str:
    """In the folder of the images: QEMU takes names of data files as relative to where it runs."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Recipe:
    """How an image is made.

    :param options: what ``qemu-img create -o`` takes.
    :param snapshots: how many, with writes after each.
    """

    options: str = ""
    cluster_bytes: int = 65536
    snapshots: int = 1
    compressed: bool = False
    bitmaps: bool = False
    backing: bool = False
    data_file: bool = False
    zeroes: bool = True

    def make(self, folder: Path, seed: int = 0) -> Path:
        """The image, with data, zeroes, holes and whatever else it shall have."""
        path, random = folder / "made.qcow2", Random(seed)
        options = [f"cluster_size={self.cluster_bytes}", *filter(None, self.options.split(","))]
        below: list[str] = []
        if self.data_file:
            options.append("data_file=made.data")
        if self.backing:
            run(folder, "qemu-img", "create", "-q", "-f", "raw", "below.raw", str(DISK_BYTES))
            run(folder, "qemu-io", "-f", "raw", "-c", f"write -P 7 0 {DISK_BYTES // 2}", "below.raw")
            below = ["-b", "below.raw", "-F", "raw"]
        run(folder, "qemu-img", "create", "-q", "-f", "qcow2", *below, "-o", ",".join(options), path, str(DISK_BYTES))
        self._write(path, random, 12)
        for number in range(self.snapshots):
            run(folder, "qemu-img", "snapshot", "-c", f"state {number}", path)
            self._write(path, random, 6)
        for name in ("first", "second") if self.bitmaps else ():
            run(folder, "qemu-img", "bitmap", "--add", path, name)
            self._write(path, random, 4)
        return path

    def _write(self, path: Path, random: Random, times: int) -> None:
        calls = ["write", "write", "write", "discard", *(["write -z", "write -z -u"] if self.zeroes else [])]
        commands = []
        for _ in range(times):
            place = random.randrange(_WRITTEN_BYTES // 512) * 512
            commands += ["-c", f"{random.choice(calls)} {place} {random.choice([1, 8, 128, 600]) * 512}"]
            if self.compressed:
                cluster = random.randrange(_WRITTEN_BYTES // self.cluster_bytes)
                commands += ["-c", f"write -c {cluster * self.cluster_bytes} {self.cluster_bytes}"]
        run(path.parent, "qemu-io", "-f", "qcow2", *commands, path)


RECIPES = {
    **{f"clusters of {size}": Recipe(cluster_bytes=size) for size in (512, 4096, 65536, 2 << 20)},
    **{
        f"counts of {bits} bits": Recipe(f"refcount_bits={bits}", 4096, snapshots=2 if bits > 1 else 0)
        for bits in (1, 2, 4, 8, 16, 32, 64)
    },
    "extended L2": Recipe("extended_l2=on", snapshots=2),
    "small subclusters over another image": Recipe("extended_l2=on", 16384, backing=True),
    "zlib": Recipe(compressed=True),
    "zstd": Recipe("compression_type=zstd", 4096, compressed=True),
    "compressed among subclusters": Recipe("extended_l2=on", compressed=True),
    "bitmaps": Recipe(bitmaps=True),
    "data file": Recipe(data_file=True, snapshots=0),
    "raw data file": Recipe("data_file_raw=on", data_file=True, snapshots=0),
    "data file, extended L2": Recipe("extended_l2=on", data_file=True, snapshots=0),
    "over another image": Recipe(backing=True),
    "version 2": Recipe("compat=0.10", zeroes=False, snapshots=2),
    "lazy refcounts": Recipe("lazy_refcounts=on"),
    "preallocated": Recipe("preallocation=metadata"),
}


class Damage:
    """Damages an image in a file.

    :param file: the image, sound.
    """

    def __init__(self, file: Store, random: Random) -> None:
        self._file = file
        self._random = random
        self._image: Examination = examine(file, Findings())
        header, sizes = self._image.header, self._image.header.layout
        self._bits = header.cluster_bits
        places = [header.l1_offset + 8 * entry for entry in range(header.l1_entries)]
        for table in self._image.references.marked(Role.L2):
            start, step = table << self._bits, 8 * sizes.words_per_entry
            places += [start + entry * step for entry in range(sizes.l2_entries)]
        self._entries = [place for place in places if self._word(place)]

    def _word(self, place: int) -> int:
        return int.from_bytes(self._file.read(place, 8), "big")

    def _entry(self, change: int, kept: int = (1 << 64) - 1) -> None:
        place = self._random.choice(self._entries)
        self._file.write(place, (self._word(place) & kept ^ change).to_bytes(8, "big"))

    def flip(self) -> None:
        """Any bit of an entry of an L1 or L2 table."""
        self._entry(1 << self._random.randrange(64))

    def forget(self) -> None:
        """An entry."""
        self._entry(0, kept=0)

    def confuse(self) -> None:
        """An entry with another."""
        self._entry(self._word(self._random.choice(self._entries)), kept=0)

    def point_beyond(self) -> None:
        """The end of the file."""
        self._entry((self._image.references.clusters + self._random.randrange(1000)) << self._bits, kept=COPIED)

    def point_to_table(self) -> None:
        """Any."""
        self._entry(self._random.choice(list(self._image.references.marked(Role(255)))) << self._bits, kept=COPIED)

    def mark(self) -> None:
        """An entry as used once, if it was not, and the other way round, where it has a place."""
        self._entries = [place for place in self._entries if self._word(place) & ~(COPIED | 511)]
        self._entry(COPIED)

    def reserve(self) -> None:
        """Set a bit that must be zero."""
        self._entries = [place for place in self._entries if not self._word(place) >> 62 & 1]
        place = self._random.choice(self._entries)
        self._file.write(place, (self._word(place) | 1 << self._random.choice([1, 3, 8, 56, 60])).to_bytes(8, "big"))

    def count(self) -> None:
        """A cluster wrongly."""
        clusters = [cluster for cluster in range(self._image.references.clusters) if self._counted(cluster)]
        self._set_count(self._random.choice(clusters), self._random.randrange(min(8, self._highest + 1)))

    def leak(self) -> None:
        """A cluster at the end of the file, which nothing refers to, or one of a table, whose entries have no mark."""
        references = self._image.references
        step = 1 << self._bits
        self._file.resize(-(-self._file.size_bytes // step) * step + step)
        spare = [cluster for cluster in range(self._file.size_bytes >> self._bits) if self._counted(cluster)]
        spare = [
            cluster
            for cluster in spare
            if cluster >= references.clusters or references.roles(cluster) & ~L2_TABLES or not references.count(cluster)
        ]
        cluster = self._random.choice([one for one in spare if self._image.stored.count(one) < self._highest])
        self._set_count(cluster, self._highest)

    @property
    def _highest(self) -> int:
        return min(self._image.header.layout.refcount_max, 1 << 20)

    def _counted(self, cluster: int) -> bool:
        return cluster // self._image.header.layout.refcounts_per_block in self._image.stored.blocks

    def _set_count(self, cluster: int, count: int) -> None:
        stored = self._image.stored
        number, place = divmod(cluster, self._image.header.layout.refcounts_per_block)
        block, length = stored.blocks[number], self._image.header.layout.cluster_bytes
        order = self._image.header.refcount_order
        counts = unpack(self._file.read(block, length), order)
        counts[place] = count
        self._file.write(block, pack(counts, order))

    def lose_block(self) -> None:
        """Let the refcount table point elsewhere, or nowhere."""
        place = self._image.header.refcount_table_offset
        self._file.write(place, self._random.choice([0, 1 << 60, self._word(place) ^ 1 << 33]).to_bytes(8, "big"))

    ALL = (flip, forget, confuse, point_beyond, point_to_table, mark, reserve, count, lose_block)
    HARMLESS = (mark, reserve, count, lose_block)
    """What takes none of the disk's data."""
