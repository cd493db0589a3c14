"""Committing and rebasing images in files that nobody else uses."""

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tgtcore import Store
from tgtcore_cow.chain import Chain
from tgtcore_cow.files import HostFile
from tgtcore_cow.names import Rules, located
from tgtcore_cow.qcow2.committing import commit
from tgtcore_cow.qcow2.create_options import BACKING_FORMATS
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import ExtensionType, Header
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.rebasing import Nothing, keep_content, name_backing


def commit_file(path: Path, rules: Rules | None) -> Generator[int, None, None]:
    """Commit an image into its backing file; see :func:`~tgtcore_cow.qcow2.committing.commit`."""
    with ExitStack() as stack:
        file = HostFile(path)
        stack.callback(file.close)
        header = read_header(file)
        if not header.backing_file:
            raise ImageError(f"{path} stands on no other image; there is nothing to commit it to")
        chain = Chain(header, path, rules=rules, writable=True)
        stack.callback(chain.close)
        assert chain.backing is not None, "one was named"
        image = Image(file, backing=chain.backing, data_file=chain.data_file)
        stack.callback(image.close)
        yield from commit(image, chain.backing)


def rebase_file(
    path: Path, backing_file: str, backing_format: str, rules: Rules | None, *, unsafe: bool
) -> Generator[int, None, None]:
    """Let an image stand on another backing file, or on none.

    :param backing_file: as the header shall have it; empty for none.
    :param unsafe: only let the header name it.
    """
    _check_names(path, backing_file, backing_format)
    with ExitStack() as stack:
        file = HostFile(path)
        stack.callback(file.close)
        if not unsafe:
            yield from _keep_content(file, path, backing_file, backing_format, rules)
        name_backing(file, backing_file, backing_format)


def _check_names(path: Path, backing_file: str, backing_format: str) -> None:
    if "\0" in backing_file:
        raise ImageError("a file's name can't contain a NUL character")
    if backing_file:
        located(backing_file, path)
        if backing_format not in BACKING_FORMATS:
            raise ImageError(
                f"the format of the backing file is {backing_format!r}; expected {' or '.join(BACKING_FORMATS)}"
            )


def _keep_content(
    file: HostFile, path: Path, backing_file: str, backing_format: str, rules: Rules | None
) -> Generator[int, None, None]:
    header = read_header(file)
    if header.snapshots:
        raise ImageError(f"{path} has snapshots, which would change with what they stand on; delete them first")
    if header.data_file_is_raw and backing_file:
        raise ImageError("a raw external data file shows all of the disk, so that there can't be a backing file")
    with ExitStack() as stack:

        def opened(named: Header) -> Chain:
            chain = Chain(named, path, rules=rules)
            stack.callback(chain.close)
            return chain

        chain = opened(header)
        old: Store = chain.backing or Nothing()
        new: Store = opened(_without_data_file(header, backing_file, backing_format)).backing or Nothing()
        image = Image(file, backing=old, data_file=chain.data_file)
        stack.callback(image.close)
        yield from keep_content(image, old, new)


def _without_data_file(header: Header, backing_file: str, backing_format: str) -> Header:
    """What names only the backing file: the data file is open already."""
    named = replace(header, backing_file=backing_file, incompatible=0)
    return named.with_extension(ExtensionType.BACKING_FORMAT, backing_format.encode())
