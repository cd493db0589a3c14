"""The kinds of images that the tests work on, made in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from cow.bases import Base
from cow.recording import Log
from hypothesis import strategies as st
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image

from tgtcore import Store

IMAGE, BACKING, BACKING_BENEATH, DATA = "image.qcow2", "backing", "backing.raw", "image.data"
"""Names of the files, in the header too: all of them lie in one folder when they are written out."""


@dataclass(frozen=True)
class Shape:
    """What an image is like.

    :param clusters: size of the disk, in clusters.
    :param odd_sectors: so many sectors of 512 bytes less, so that the last cluster is not whole.
    :param backing: ``none``, ``raw`` or ``qcow2``.
    :param backing_part: how long the backing image is, in quarters of the disk.
    :param data_file: ``none``, ``plain`` or ``raw``.
    :param ready: whether the files answer without waiting.
    """

    cluster_bits: int = 16
    version: int = 3
    refcount_order: int = 4
    extended_l2: bool = False
    lazy_refcounts: bool = False
    clusters: int = 16
    odd_sectors: int = 0
    backing: str = "none"
    backing_part: int = 4
    data_file: str = "none"
    ready: bool = True

    @property
    def cluster_bytes(self) -> int:
        """Size of a cluster."""
        return 1 << self.cluster_bits

    @property
    def size_bytes(self) -> int:
        """Size of the disk to begin with."""
        return max(self.clusters * self.cluster_bytes - self.odd_sectors * 512, 512)

    @property
    def can_have_snapshots(self) -> bool:
        """Data in a file of its own can't be in two states, and what is counted in one bit can't be shared."""
        return self.data_file == "none" and self.refcount_order > 0

    def options(self) -> CreateOptions:
        """How such an image is made."""
        return CreateOptions(
            size_bytes=self.size_bytes,
            version=self.version,
            cluster_bytes=self.cluster_bytes,
            refcount_bits=1 << self.refcount_order,
            extended_l2=self.extended_l2,
            lazy_refcounts=self.lazy_refcounts,
            backing_file="" if self.backing == "none" else BACKING,
            backing_format="" if self.backing == "none" else self.backing,
            data_file="" if self.data_file == "none" else DATA,
            data_file_raw=self.data_file == "raw",
        )


@dataclass
class Files:
    """The files of an image.

    :param beneath: the content that the disk begins with, in as many bytes as the backing image has.
    :param backing: files of the backing image by their names.
    """

    shape: Shape
    image: Base
    beneath: bytes = b""
    backing: dict[str, Base] = field(default_factory=dict)
    data: Base | None = None

    @classmethod
    def make(cls, shape: Shape, wrapped: Callable[[Base], Base] = lambda base: base) -> "Files":
        """Make a new image and what is beneath it.

        :param wrapped: the image's own file may be of another kind.
        """
        files = cls(shape, wrapped(Base(ready=shape.ready)))
        if shape.backing != "none":
            files._make_backing()
        if shape.data_file != "none":
            files.data = Base(ready=shape.ready)
        create(files.image, shape.options(), files.data)
        return files

    def _make_backing(self) -> None:
        length = max(self.shape.size_bytes * self.shape.backing_part // 4 // 512, 1) * 512
        chance = Random(length)
        # every third piece is a hole, so that zeroes beneath are met too
        piece = max(length // 9 // 512, 1) * 512
        self.beneath = b"".join(
            bytes(piece) if at // piece % 3 == 2 else chance.randbytes(piece) for at in range(0, length, piece)
        )[:length]
        if self.shape.backing == "raw":
            self.backing = {BACKING: Base(self.beneath, ready=self.shape.ready)}
            return
        file, lowest = Base(ready=self.shape.ready), Base(self.beneath)
        create(
            file,
            CreateOptions(size_bytes=length, cluster_bytes=4096, backing_file=BACKING_BENEATH, backing_format="raw"),
        )
        image = Image(file, backing=lowest)
        for at in range(piece, length - 512, 2 * piece):
            data = chance.randbytes(min(piece, 4096, length - at))
            image.write(at, data)
            self.beneath = self.beneath[:at] + data + self.beneath[at + len(data) :]
        image.close()
        self.backing = {BACKING: file, BACKING_BENEATH: lowest}

    def open(self, *, read_only: bool = False) -> Image:
        """Open the image."""
        return Image(self.image, backing=self._open_backing(), data_file=self.data, read_only=read_only)

    def _open_backing(self) -> Store | None:
        if not self.backing:
            return None
        if BACKING_BENEATH in self.backing:
            return Image(self.backing[BACKING], backing=self.backing[BACKING_BENEATH], read_only=True)
        return self.backing[BACKING]

    def copy(self) -> "Files":
        """The files as they are now, apart from what becomes of these."""
        return replace(self, image=self.image.copy(), data=self.data.copy() if self.data else None)

    def recorded(self, log: Log) -> "Files":
        """The files as they are now; what is written to them from now on is logged."""
        return replace(self, image=log.recorded(self.image), data=log.recorded(self.data) if self.data else None)

    def left(self, contents: list[bytearray]) -> "Files":
        """What of files that were logged is left, in the log's order."""
        image, *data = (Base(content, ready=self.shape.ready) for content in contents)
        return replace(self, image=image, data=data[0] if data else None)

    @property
    def content(self) -> bytes:
        """What the disk holds to begin with."""
        size = self.shape.size_bytes
        return self.beneath[:size].ljust(size, b"\0")

    def named(self) -> dict[str, Base]:
        """Every file by the name that images have for it."""
        return {IMAGE: self.image, **self.backing, **({DATA: self.data} if self.data else {})}


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Any kind of image, with disks that are read through in a moment."""
    version = draw(st.sampled_from((3, 3, 3, 2)))
    extended = version == 3 and draw(st.booleans())
    cluster_bits = draw(st.integers(14, 16) if extended else st.integers(9, 16))
    data_file = draw(st.sampled_from(("none", "none", "none", "plain", "raw"))) if version == 3 else "none"
    backing = "none" if data_file == "raw" else draw(st.sampled_from(("none", "raw", "qcow2")))
    return Shape(
        cluster_bits=cluster_bits,
        version=version,
        refcount_order=draw(st.integers(0, 6)) if version == 3 else 4,
        extended_l2=extended,
        lazy_refcounts=version == 3 and draw(st.booleans()),
        clusters=draw(st.integers(1, min(400, (2 << 20) >> cluster_bits))),
        odd_sectors=draw(st.integers(0, (1 << cluster_bits - 9) - 1)),
        backing=backing,
        backing_part=draw(st.integers(1, 6)),
        data_file=data_file,
        ready=draw(st.booleans()),
    )
