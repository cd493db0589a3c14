"""Images as a library's users have them: opened by the name of the file, and closed with everything that belongs to them."""

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any, Self

from tgtcore import Buffer, Extent, SnapshotInfo, StoreError
from tgtcore_cow.chain import Chain
from tgtcore_cow.cloning import clone_into_file
from tgtcore_cow.files import HostFile
from tgtcore_cow.moving import commit_file, rebase_file
from tgtcore_cow.names import Rules, located
from tgtcore_cow.qcow2.check import Report, check
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.repair import Repaired, What, repair

Progress = Callable[[int], object]


class Qcow2Image(Image):
    """A qcow2 image in a file.

    Make one with :meth:`open` or :meth:`create`, and close it: by :meth:`close`, or as a context manager::

        with Qcow2Image.create("disk.qcow2", 10 << 30) as image:
            image.write(0, b"hello")
            image.create_snapshot("first")

    Several threads may use it at once.
    """

    __slots__ = ("_closing", "_file")

    def __init__(self, file: HostFile, closing: ExitStack, **parts: Any) -> None:
        super().__init__(file, **parts)
        self._file = file
        self._closing = closing

    @classmethod
    def open(cls, path: str | PathLike[str], *, read_only: bool = False, rules: Rules | None = None) -> Self:
        """Open an image, and what it refers to.

        :param rules: what it may refer to; by default files in its folder and below.
        :raises StoreError: it can't be opened or locked, is no image, is damaged, or needs what is not supported.
        """
        with ExitStack() as stack:
            file = HostFile(Path(path), read_only=read_only)
            stack.callback(file.close)
            header = read_header(file)
            chain = Chain(header, Path(path), read_only=read_only, rules=rules)
            stack.callback(chain.close)
            image = cls(file, stack, backing=chain.backing, data_file=chain.data_file, read_only=read_only)
            image._closing = stack.pop_all()
        return image

    @classmethod
    def create(cls, path: str | PathLike[str], size_bytes: int, *, rules: Rules | None = None, **options: Any) -> Self:
        """Make an image in a new file, and open it.

        :param size_bytes: size of the disk, a multiple of 512.
        :param options: any other field of :class:`CreateOptions`.
        :raises StoreError: the file can't be made, or there can't be such an image; nothing is left of it then.
        """
        wanted = CreateOptions(size_bytes, **options)
        wanted.check()
        place = Path(path)
        with ExitStack() as stack, ExitStack() as undo:

            def made(path: Path, *, raw: bool = False) -> HostFile:
                file = HostFile(path, create=True, raw=raw)
                stack.callback(file.close)
                undo.callback(file.unmake)
                return file

            data_file = made(located(wanted.data_file, place), raw=True) if wanted.data_file else None
            file = made(place)
            header = create(file, wanted, data_file)
            chain = Chain(header, place, rules=rules, data_file=data_file)
            stack.callback(chain.close)
            image = cls(file, stack, backing=chain.backing, data_file=data_file)
            image._closing = stack.pop_all()
            undo.pop_all()
        return image

    def clone_snapshot(self, id_or_name: str, path: Path) -> Generator[int, None, None]:
        """As in the contract."""
        return clone_into_file(self, self._file.path, id_or_name, path)

    def clone(self, snapshot: str, path: str | PathLike[str], progress: Progress | None = None) -> None:
        """Copy what a snapshot holds into a new image of the same kind; this one may be written meanwhile.

        What takes no space takes none in the copy, and both stand on the same backing file.  The new file has its name only
        when it is complete and durable.

        :param snapshot: its id, else its name.
        :param progress: called again and again with up to which byte of the disk it is done.
        :raises StoreError: there is no such snapshot, there is such a file, or it can't be made; nothing is left of it then.
        """
        _told(self.clone_snapshot(snapshot, Path(path)), progress)

    @staticmethod
    def commit(path: str | PathLike[str], *, rules: Rules | None = None, progress: Progress | None = None) -> None:
        """Write what an image has itself into its backing file, and empty the image; nobody may have either of them open.

        At every moment, also after a crash, the disk of the image reads the same.  Other images that stand on that backing file
        change.  A backing file that is shorter than the disk becomes as long.

        :param progress: called again and again with up to which byte of the disk it is done.
        :raises StoreError: the image has no backing file, or has snapshots, which would change; or one can't be opened or written.
        """
        _told(commit_file(Path(path), rules), progress)

    @staticmethod
    def rebase(
        path: str | PathLike[str],
        backing_file: str = "",
        backing_format: str = "",
        *,
        unsafe: bool = False,
        rules: Rules | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Let an image stand on another backing file, or on none, with the same content; nobody may have it open.

        :param backing_file: its name as the header shall have it; empty: the image has all of its content itself then.
        :param backing_format: ``raw`` or ``qcow2``.
        :param unsafe: only change the name, for a backing file that has moved or is the same otherwise; it is not looked at.
        :param progress: called again and again with up to which byte of the disk it is done.
        :raises StoreError: the image has snapshots, which would change; or a file can't be opened; or the name has no room.
        """
        _told(rebase_file(Path(path), backing_file, backing_format, rules, unsafe=unsafe), progress)

    @staticmethod
    def check(path: str | PathLike[str]) -> Report:
        """Check an image that nobody writes to.

        :raises StoreError: it can't be opened, or there is nothing to check in it.
        """
        file = HostFile(Path(path), read_only=True)
        try:
            return check(file)
        finally:
            file.close()

    @staticmethod
    def repair(path: str | PathLike[str], what: What = "leaks") -> Repaired:
        """Repair an image that nobody has open; see :func:`~tgtcore_cow.qcow2.repair.repair`.

        :raises StoreError: it can't be opened, or so damaged that this would endanger data.
        """
        file = HostFile(Path(path))
        try:
            return repair(file, what)
        finally:
            file.close()

    # ---- the contract's calls, whose ranges nobody else has checked --------------------------------------------------

    def read(self, offset: int, length: int) -> Buffer:
        """Bytes of the disk.

        :raises StoreError: not all of them are within ``size_bytes``; so do the calls below.
        """
        self._check_range(offset, length)
        return super().read(offset, length)

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """Bytes of the disk if that needs no waiting, else None."""
        self._check_range(offset, length)
        return super().read_nowait(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        """Store bytes; they are durable after the next :meth:`flush`."""
        self._check_range(offset, len(data))
        super().write(offset, data)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """Store bytes if that needs no waiting, else return False."""
        self._check_range(offset, len(data))
        return super().write_nowait(offset, data)

    def write_through(self, offset: int, data: Buffer) -> None:
        """Store bytes; they are durable on return."""
        self._check_range(offset, len(data))
        super().write_through(offset, data)

    def unmap(self, offset: int, length: int) -> None:
        """Let a range read as zeroes, and give its space back."""
        self._check_range(offset, length)
        super().unmap(offset, length)

    def write_zeroes(self, offset: int, length: int) -> None:
        """Let a range read as zeroes, and have its space reserved."""
        self._check_range(offset, length)
        super().write_zeroes(offset, length)

    def extents(self, offset: int, length: int) -> list[Extent]:
        """Which ranges have space allocated, from ``offset`` on; it may stop early."""
        self._check_range(offset, length)
        return super().extents(offset, length)

    def _check_range(self, offset: int, length: int) -> None:
        if not 0 <= offset <= offset + length <= self.size_bytes:
            raise StoreError(
                f"{length} bytes at {offset} are not all within the disk; expected a range within {self.size_bytes} bytes"
            )

    def create_snapshot(self, name: str) -> SnapshotInfo:
        """Keep the disk as it is at some moment of this call, durably; others wait for a part of it only."""
        self.flush()
        return super().create_snapshot(name)

    # ---- its end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Flush the image, and close its file and what it refers to."""
        with self._closing:
            super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _told(steps: Iterable[int], progress: Progress | None) -> None:
    """Carry all steps out."""
    for done in steps:
        if progress is not None:
            progress(done)
