"""Copying what a snapshot holds into a new image in a file, which has its name only when it is complete."""

import errno
import os
import secrets
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

from tgtcore_cow.files import HostFile
from tgtcore_cow.names import located
from tgtcore_cow.qcow2.copying import clone
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.image import Image
from tgtcore_cow.qcow2.volume import Volume

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Only the copy is written, so these are about its file."""


def clone_into_file(image: Image, source: Path | None, id_or_name: str, path: Path) -> Generator[int, None, None]:
    """Copy what a snapshot holds into a new image, which stands on the same backing file, if there is one.

    Each step copies some MiB, and says up to where the disk is done; after the last one the file is durable, and has its name.
    Who closes the generator before leaves nothing behind.

    :param source: the name by which the image was opened: a relative name of its backing file begins in that folder.
    :raises StoreError: there is no such snapshot, there is such a file, or it can't be made; or the image is gone meanwhile.
    :raises OSError: of the system; where the copy finds no room it names the path.
    """
    with ExitStack() as stack:
        frozen = stack.enter_context(image.frozen(id_or_name))
        volume = image.volume
        if os.path.lexists(path):
            raise ImageError(f"{path} can't be made: there is such a file already")
        backing_file = _backing_file(image.header.backing_file, source, path)
        backing_format = "qcow2" if isinstance(frozen.volume.backing, Image) else "raw"
        file = HostFile(path.with_name(f".{path.name}.{secrets.token_hex(4)}.part"), create=True)
        stack.callback(file.close)
        stack.callback(file.unmake)
        try:
            for done in clone(frozen, file, backing_file, backing_format if backing_file else ""):
                _check_there(volume)
                yield done
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
        _check_there(volume)
        file.give_name(path)


def _check_there(volume: Volume) -> None:
    if volume.gone:
        raise ImageError("what the image is in holds something else now, so its snapshot can't be copied to the end")


def _backing_file(name: str, source: Path | None, path: Path) -> str:
    """The name that the copy must use: in the same folder, the same."""
    if not name or source is None or os.path.realpath(source.parent) == os.path.realpath(path.parent):
        return name
    return str(located(name, source).absolute())
