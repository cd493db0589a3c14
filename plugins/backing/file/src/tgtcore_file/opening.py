"""Opening and making images; every failure is one sentence that names the file."""

import errno
import os
import resource
from contextlib import suppress

from tgtcore import FileLock, OpenFile, StoreError, make_file, open_file
from tgtcore_file.options import FileOptions

_SHARE_OF_DESCRIPTORS = 7 / 8

_ADVICE = {
    errno.EACCES: "expected one that may be read and written, or read_only = true",
    errno.EROFS: "expected one that may be written, or read_only = true",
}


def opened(options: FileOptions) -> tuple[int, bool]:
    """The descriptor of an image, locked, and whether it was made for this, as ``create`` asks for.

    :raises StoreError: it can't be opened, made or locked, or it is not an image.
    """
    path = options.path
    try:
        return open_file(path, FileLock.READER if options.read_only else FileLock.ALONE, advice=_ADVICE), False
    except StoreError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
    if not options.create or options.read_only:
        raise StoreError(f"{path}: no such file; expected an image or {_cure(options)}")
    return make_file(path, FileLock.ALONE, lambda fd: _fill(fd, options)), True


def _cure(options: FileOptions) -> str:
    return "read_only = false" if options.create else 'create = true with a size, such as size = "10G"'


def _fill(fd: int, options: FileOptions) -> None:
    size = options.size
    assert size is not None, "the options model asks for it"
    os.ftruncate(fd, size)
    if options.preallocate:
        os.posix_fallocate(fd, 0, size)


def reopened(fd: int) -> OpenFile | None:
    """The same file once more, for reading: with neither the lock nor the exclusive use of a device that ``fd`` has.

    None when most descriptors are in use: the last ones are for what can't do without, such as connections.
    """
    with suppress(OSError):
        file = OpenFile(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC))
        if file.fd < resource.getrlimit(resource.RLIMIT_NOFILE)[0] * _SHARE_OF_DESCRIPTORS:
            return file
    return None
