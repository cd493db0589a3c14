"""Who tells whether an image is sound: our own check, which is always there, or qemu-img."""

from abc import ABC, abstractmethod
from pathlib import Path
from random import Random

from cow import qemu_tools
from cow.history import History, assert_same
from cow.operations import Worker
from cow.qemu_tools import Findings
from cow.shapes import IMAGE, Files
from tgtcore_cow.qcow2.check import check
from tgtcore_cow.qcow2.repair import repair


class Judge(ABC):
    """Judges the files of an image, which nobody writes to meanwhile."""

    @abstractmethod
    def check(self, files: Files) -> Findings:
        """What is wrong with the image."""

    def assert_clean(self, files: Files) -> None:
        """Neither errors nor leaks."""
        found = self.check(files)
        assert (found.errors, found.leaks) == (0, 0), found

    def assert_usable(self, files: Files) -> None:
        """No errors; leaks perhaps."""
        found = self.check(files)
        assert not found.errors, found

    @abstractmethod
    def give_leaks_back(self, files: Files) -> None:
        """Repair what a crash leaves."""

    @abstractmethod
    def assert_content(self, files: Files, content: bytes) -> None:
        """The disk holds this."""

    @abstractmethod
    def assert_snapshot(self, files: Files, name: str, content: bytes) -> None:
        """A snapshot holds this."""


class OwnJudge(Judge):
    """Our check."""

    def check(self, files: Files) -> Findings:
        """By the bytes of the image alone."""
        report = check(files.image)
        return Findings(report.error_count, report.leak_count, "\n".join(map(str, (*report.errors, *report.leaks))))

    def give_leaks_back(self, files: Files) -> None:
        """Our repair."""
        repair(files.image, "leaks")

    def assert_content(self, files: Files, content: bytes) -> None:
        """As one who has only just opened it sees it."""
        assert_same(files.open(read_only=True).read(0, len(content)), content, "disk")

    def assert_snapshot(self, files: Files, name: str, content: bytes) -> None:
        """As one sees it who reverts a copy to it, if its reference counts allow that."""
        copy = files.copy()
        copy.image.room_bytes = 1 << 40
        worker = Worker(copy.open(), History(bytearray(), {name: content}), Random())
        if worker.revert(name):
            assert_same(worker.image.read(0, len(content)), content, f"snapshot {name}")


class QemuJudge(Judge):
    """qemu-img.

    :param folder: an empty one, in memory perhaps.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = OwnJudge()

    def _written(self, files: Files) -> Path:
        for name, base in files.named().items():
            self._write(name, base.content)
        return self._folder / IMAGE

    def _write(self, name: str, content: bytes | bytearray) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        return path

    def check(self, files: Files) -> Findings:
        """``qemu-img check``; our own one finds as much."""
        found = qemu_tools.check(self._written(files))
        ours = self._own.check(files)
        assert bool(ours.errors) == bool(found.errors), f"our check: {ours}\nqemu-img: {found}"
        # QEMU does not look beyond the end of the file
        assert ours.leaks >= found.leaks, f"our check: {ours}\nqemu-img: {found}"
        return found

    def give_leaks_back(self, files: Files) -> None:
        """``qemu-img check -r leaks``."""
        image = self._written(files)
        qemu_tools.check(image, repair="leaks")
        files.image.content[:] = image.read_bytes()

    def assert_content(self, files: Files, content: bytes) -> None:
        """``qemu-img compare``."""
        qemu_tools.assert_same(self._written(files), self._write("expected.raw", content))

    def assert_snapshot(self, files: Files, name: str, content: bytes) -> None:
        """``qemu-img convert -l``."""
        found = self._folder / "snapshot.raw"
        qemu_tools.convert(self._written(files), found, snapshot=name)
        # QEMU gives it the size that the disk has now
        size = min(found.stat().st_size, len(content))
        assert_same(found.read_bytes()[:size], content[:size], f"snapshot {name}")
