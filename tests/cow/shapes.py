"""The kinds of images that the tests work on, made in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from cow.bases import Base
from cow.recording import Log
from hypothesis import strategies as st
from tgtcore_cow.qcow2.committing import commit
from tgtcore_cow.qcow2.copying import clone
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.rebasing import Nothing, keep_content, name_backing

from tgtcore import Store

IMAGE, BACKING, BACKING_BENEATH, OTHER, DATA = "image.qcow2", "backing", "backing.raw", "other.raw", "image.data"
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

    def _open_backing(self, *, read_only: bool = True) -> Store | None:
        name = read_header(self.image).backing_file
        if not name:
            return None
        if name == BACKING and BACKING_BENEATH in self.backing:
            return Image(self.backing[BACKING], backing=self.backing[BACKING_BENEATH], read_only=read_only)
        return self.backing[name]

    def commit(self) -> None:
        """Commit the image, which is not open, into its backing image."""
        backing = self._open_backing(read_only=False)
        assert backing is not None, "there is one"
        image = Image(self.image, backing=backing, data_file=self.data)
        for _ in commit(image, backing):
            pass
        image.close()
        backing.flush()

    def rebase(self, content: bytes | None) -> None:
        """Let the image, which is not open, stand on a raw image with some content, or on nothing."""
        old: Store = self._open_backing() or Nothing()
        new: Store = Nothing() if content is None else Base(content, ready=self.shape.ready)
        image = Image(self.image, backing=old, data_file=self.data)
        for _ in keep_content(image, old, new):
            pass
        image.close()
        if isinstance(new, Base):
            self.backing = {**self.backing, OTHER: new}
        name_backing(self.image, "" if content is None else OTHER, "raw")

    def clone(self, image: Image, snapshot: str, *, into: Log | None = None) -> "Files":
        """A new image of a snapshot of this one, which is open as ``image``.

        :param into: logs what is written to it.
        """
        copy = replace(self, image=Base(ready=self.shape.ready), data=None)
        if into is not None:
            copy.image = into.recorded(copy.image)
        with image.frozen(snapshot) as frozen:
            for _ in clone(frozen, copy.image, image.header.backing_file, image.header.backing_format):
                pass
        return copy

    def copy(self) -> "Files":
        """The files as they are now, apart from what becomes of these."""
        return replace(self, image=self.image.copy(), data=self.data.copy() if self.data else None)

    def recorded(self, log: Log, *, beneath: bool = False) -> "Files":
        """The files as they are now; what is written to them from now on is logged.

        :param beneath: what is written to the backing image too.
        """
        recorded = replace(self, image=log.recorded(self.image), data=log.recorded(self.data) if self.data else None)
        if beneath:
            recorded.backing = {**self.backing, BACKING: log.recorded(self.backing[BACKING])}
        return recorded

    def left(self, contents: list[bytearray]) -> "Files":
        """What of files that were logged is left, in the log's order."""
        bases = iter([Base(content, ready=self.shape.ready) for content in contents])
        left = replace(self, image=next(bases), data=next(bases) if self.data else None)
        left.backing = {**self.backing, **dict(zip((BACKING,), bases, strict=False))}
        return left

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
