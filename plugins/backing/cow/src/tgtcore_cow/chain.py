"""Opening what an image refers to: the images that it stands on, and an external data file."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tgtcore import Store, StoreError
from tgtcore_cow.files import HostFile
from tgtcore_cow.names import IMAGES_MAX, Rules, located
from tgtcore_cow.qcow2.errors import ImageError, printable
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.image import Image, read_header


class Layer(NamedTuple):
    """A file that an image stands on.

    :param header: of a qcow2 image; None: it is raw.
    """

    file: HostFile
    header: Header | None
    data_file: HostFile | None


class Chain:
    """All that one image refers to, opened: backing files for reading, shared with others who read; a data file as the image.

    :param header: of the image.
    :param path: the name by which it was opened: relative names begin in its folder.
    :param read_only: the image is opened for reading only.
    :param rules: what may be opened; by default what is in the folder of the image and below.
    :param data_file: the image's data file if it is open already; it stays the caller's to close.
    :param writable: the nearest backing file is opened for writing.
    :raises StoreError: something may not or can't be opened; nothing stays open then.
    """

    def __init__(
        self,
        header: Header,
        path: Path,
        *,
        read_only: bool = False,
        rules: Rules | None = None,
        data_file: HostFile | None = None,
        writable: bool = False,
    ) -> None:
        self._writable = writable
        self._rules = rules or Rules.beside(path)
        self._seen: dict[tuple[int, int], Path] = {}
        with suppress(OSError):  # it need not have a name any more
            self._note(path, os.stat(path))
        with ExitStack() as stack:
            if data_file is not None:
                with _told_of(path):
                    self._admit(
                        header.data_file, data_file.path, "data file", data_file.path.resolve(), data_file.path.stat()
                    )
            self.data_file = data_file or self._data_file(stack, header, path, read_only=read_only)
            """Where the image has its data, if not in itself."""
            self.layers = tuple(self._descend(stack, header, path))
            """What it stands on, the nearest first."""
            self.backing = _built(stack, self.layers, writable=writable)
            """The disk that it stands on."""
            self._close = stack.pop_all().close

    def close(self) -> None:
        """Close all of it, after the image."""
        self._close()

    def _descend(self, stack: ExitStack, header: Header, path: Path) -> Iterator[Layer]:
        above: Header | None = header
        for number in range(IMAGES_MAX):
            read_only = number > 0 or not self._writable
            if above is None or not above.backing_file:
                return
            with _told_of(path):
                image_format = self._rules.format_of(above.backing_file, above.backing_format)
                file = self._open(stack, above.backing_file, path, "backing file", read_only=read_only)
            path, above = file.path, None
            data_file = None
            if image_format == "qcow2":
                with _told_of(path):
                    above = read_header(file)
                data_file = self._data_file(stack, above, path, read_only=read_only)
            yield Layer(file, above, data_file)
        if above is not None and above.backing_file:
            with _told_of(path):
                raise ImageError(f"the image is the last of {IMAGES_MAX} that stand on one another, and names one more")

    def _data_file(self, stack: ExitStack, header: Header, path: Path, *, read_only: bool) -> HostFile | None:
        if not header.has_data_file:
            return None
        with _told_of(path):
            if not header.data_file:
                raise ImageError("the image has its data in another file and does not tell which")
            return self._open(stack, header.data_file, path, "data file", read_only=read_only)

    def _open(self, stack: ExitStack, name: str, image: Path, what: str, *, read_only: bool) -> HostFile:
        path = located(name, image)
        file = HostFile(path, read_only=read_only, raw=True, admit=partial(self._admit, name, path, what))
        stack.callback(file.close)
        return file

    def _admit(self, name: str, path: Path, what: str, real: Path, status: os.stat_result) -> None:
        self._rules.check(real, status)
        if (other := self._note(path, status)) is not None:
            raise ImageError(f"its {what} {name!r} is {other}, which is in use for the same disk already")

    def _note(self, path: Path, status: os.stat_result) -> Path | None:
        """What was opened before and is the same file; None: nothing, and it is noted."""
        identity = status.st_dev, status.st_ino
        if identity in self._seen:
            return self._seen[identity]
        self._seen[identity] = path
        return None


def _built(stack: ExitStack, layers: tuple[Layer, ...], *, writable: bool) -> Store | None:
    beneath: Store | None = None
    for layer in reversed(layers):
        file, header, data_file = layer
        if header is None:
            beneath = file
            continue
        with _told_of(file.path):
            image = Image(file, backing=beneath, data_file=data_file, read_only=not writable or layer is not layers[0])
        stack.callback(image.close)
        beneath = image
    return beneath


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """What is wrong with an image is told with its name, in characters that do no harm to who reads it."""
    try:
        yield
    except StoreError as error:
        raise type(error)(printable(f"{path}: {error}")) from error
