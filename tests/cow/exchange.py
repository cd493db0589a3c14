"""Work on an image by QEMU and by us in turns: what one has written the other one reads."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from cow import qemu_tools
from cow.history import History
from cow.operations import Worker, random_spot
from tgtcore_cow import Qcow2Image

_OPERATIONS_MAX = 5
_SNAPSHOTS_MAX = 3


class Exchange:
    """An image and what it must hold.

    :param content: what it holds now.
    """

    def __init__(self, image: Path, content: bytes, seed: int) -> None:
        self._image = image
        self._history = History(bytearray(content))
        self._chance = Random(seed)
        self._made = 0
        information = qemu_tools.info(image)
        self._cluster_bytes = information["cluster-size"]
        kind = information["format-specific"]["data"]
        version_2 = kind["compat"] == "0.10"
        self._commands: list[Callable[[], list[str]]] = [self._write, self._write, self._zero]
        if not version_2:
            self._commands += [self._zero_and_unmap, self._discard]
        if "data-file" not in kind and not (version_2 and "backing-filename" in information):
            self._commands.append(self._write_compressed)
        self._may_have_snapshots = "data-file" not in kind and kind["refcount-bits"] > 1
        self._qemu_may_make_some = kind["refcount-bits"] >= 8
        """Those of fewer bits can't count what several snapshots have; QEMU leaves it half done then."""

    def round(self) -> None:
        """Both work, and both see what must be there."""
        self._we_work()
        qemu_tools.assert_clean(self._image)
        self._qemu_compares()
        self._qemu_works()
        qemu_tools.assert_clean(self._image)
        with Qcow2Image.open(self._image, read_only=True) as image:
            worker = Worker(image, self._history, self._chance)
            worker.assert_content()
            worker.assert_extents()

    def finish(self) -> None:
        """Every snapshot is still what it was."""
        for name, content in self._history.snapshots.items():
            into = self._image.with_suffix(".snapshot")
            qemu_tools.convert(self._image, into, snapshot=name)
            assert into.read_bytes() == content, name

    # ---- we ---------------------------------------------------------------------------------------------------------

    def _we_work(self) -> None:
        chance, names = self._chance, list(self._history.snapshots)
        with Qcow2Image.open(self._image) as image:
            worker = Worker(image, self._history, chance)
            worker.assert_content()
            for _ in range(chance.randint(1, _OPERATIONS_MAX)):
                if chance.random() < 0.7:
                    worker.write(random_spot(chance), chance.choice(("write", "write_nowait", "write_through")))
                else:
                    worker.clear(random_spot(chance), chance.choice(("unmap", "write_zeroes")))
            if self._may_have_snapshots and chance.random() < 0.3:
                if len(names) < _SNAPSHOTS_MAX:
                    self._made += 1
                    worker.create_snapshot(f"ours {self._made}")
                else:
                    chance.choice((worker.revert, worker.delete_snapshot))(chance.choice(names))
            worker.assert_content()

    # ---- QEMU -------------------------------------------------------------------------------------------------------

    def _qemu_works(self) -> None:
        chance, names = self._chance, list(self._history.snapshots)
        commands = [chance.choice(self._commands)() for _ in range(chance.randint(1, _OPERATIONS_MAX))]
        qemu_tools.io(self._image, *(one for several in commands for one in several))
        if not self._qemu_may_make_some or not self._may_have_snapshots or chance.random() < 0.7:
            return
        if len(names) < _SNAPSHOTS_MAX:
            self._made += 1
            name = f"theirs {self._made}"
            qemu_tools.snapshot(self._image, create=name)
            self._history.snapshots[name] = bytes(self._history.content)
        elif chance.random() < 0.5:
            name = chance.choice(names)
            qemu_tools.snapshot(self._image, apply=name)
            self._history.revert(name)
        else:
            name = chance.choice(names)
            qemu_tools.snapshot(self._image, delete=name)
            del self._history.snapshots[name]

    def _qemu_compares(self) -> None:
        expected = self._image.with_suffix(".expected")
        expected.write_bytes(self._history.content)
        qemu_tools.assert_same(self._image, expected)

    def _range(self, *aligned: str) -> tuple[int, int]:
        return random_spot(self._chance, aligned).range(len(self._history.content), self._cluster_bytes)

    def _data_file(self, data: bytes) -> Path:
        self._written = getattr(self, "_written", 0) + 1
        path = self._image.with_suffix(f".data{self._written % (_OPERATIONS_MAX + 1)}")
        path.write_bytes(data)
        return path

    def _write(self) -> list[str]:
        offset, length = self._range("sector", "cluster", "byte")
        data = self._chance.randbytes(length)
        self._history.write(offset, data)
        return [f"write -q -s {self._data_file(data)} {offset} {length}"]

    def _write_compressed(self) -> list[str]:
        """QEMU wants the cluster not to be there before."""
        offset, length = self._range("cluster")
        length = min(length, self._cluster_bytes)
        if length < self._cluster_bytes:
            return ["flush"]
        data = (self._chance.randbytes(16) * (length // 16))[:length]
        self._history.write(offset, data)
        return [f"discard -q {offset} {length}", f"write -q -c -s {self._data_file(data)} {offset} {length}"]

    def _zero(self) -> list[str]:
        return self._zeroed("write -q -z")

    def _zero_and_unmap(self) -> list[str]:
        return self._zeroed("write -q -z -u")

    def _zeroed(self, command: str) -> list[str]:
        offset, length = self._range("sector", "cluster")
        self._history.clear(offset, length)
        return [f"{command} {offset} {length}"]

    def _discard(self) -> list[str]:
        offset, length = self._range("cluster")
        if length % self._cluster_bytes:
            return ["flush"]
        self._history.clear(offset, length)
        return [f"discard -q {offset} {length}"]
