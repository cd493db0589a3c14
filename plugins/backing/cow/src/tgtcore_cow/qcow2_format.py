"""The format ``qcow2``: an image in another store."""

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from tgtcore import Features, Format, Store
from tgtcore_cow.blank import is_blank
from tgtcore_cow.chain import Chain
from tgtcore_cow.cloning import clone_into_file
from tgtcore_cow.names import Rules
from tgtcore_cow.options import Qcow2Options
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import MAGIC, Header, Incompatible
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.repair import repair


class _Parts(NamedTuple):
    """What an image refers to.

    :param names: how it does; None: nothing was opened.
    :param chain: None: it refers to nothing.
    """

    names: tuple[str, str, str, bool] | None = None
    chain: Chain | None = None

    @property
    def opened(self) -> dict[str, Any]:
        """As images take it."""
        return {"backing": self.chain.backing, "data_file": self.chain.data_file} if self.chain is not None else {}


class Qcow2(Image, Format):
    """A qcow2 image in a store, which is a file as a rule.

    :param base: the bytes of the image; with ``create`` it may hold nothing but zeroes, and gets one.
    :raises ImageError: it is no image, is damaged, or needs what is not supported; also what it refers to may not be opened.
    """

    Options = Qcow2Options

    options: Qcow2Options

    def __init__(self, base: Store, options: BaseModel) -> None:
        assert isinstance(options, Qcow2Options)
        Format.__init__(self, base, options)
        self._writes = not options.read_only and Features.WRITE in base.features()
        header = _made(base, options) if options.create and self._writes else None
        self._made = header is not None
        self._parts = _Parts()
        with ExitStack() as undo:
            undo.callback(self._close_parts)
            self._find_parts(header or self._header())
            Image.__init__(self, base, read_only=not self._writes, **self._parts.opened)
            base.admit_readers()
            undo.pop_all()

    def _header(self) -> Header:
        """That of an image that is fit to be opened, as far as it may be made so."""
        header = read_header(self.base)
        return _repaired(self.base, header) if self.options.repair and self._writes else header

    def _find_parts(self, header: Header) -> None:
        """Have open what an image refers to: what it is already, if that is the same."""
        names = header.backing_file, header.backing_format, header.data_file, header.has_data_file
        if names != self._parts.names:
            self._close_parts()
            self._parts = _Parts(names, _opened_chain(self.base, header, self.options, read_only=not self._writes))

    def base_changed(self) -> None:
        """As in the contract: the image is opened as it is now; also repaired before, if it was to be.

        :raises StoreError: it can't be, and so does everything else from now on, until what is beneath changes again.
        """
        try:
            self._find_parts(self._header())
            self.begin_again(**self._parts.opened)
        except Exception as error:
            self.lose(str(error))
            raise

    def clone_snapshot(self, id_or_name: str, path: Path) -> Generator[int, None, None]:
        """As in the contract: a qcow2 image with the same options, on the same backing file."""
        return clone_into_file(self, self.base.path, id_or_name, path)

    def close(self) -> None:
        """Flush the image, and close what it refers to."""
        try:
            Image.close(self)
        finally:
            self._close_parts()

    def _close_parts(self) -> None:
        parts, self._parts = self._parts, _Parts()
        if parts.chain is not None:
            parts.chain.close()

    def unmake(self) -> None:
        """Leave zeroes where an image was made."""
        if self._made:
            self.base.write(0, bytes(min(self.base.size_bytes, self.header.layout.cluster_bytes)))


def _made(base: Store, options: Qcow2Options) -> Header | None:
    """The header of a new image; None if there is one already."""
    if bytes(base.read(0, min(base.size_bytes, len(MAGIC)))) == MAGIC:
        return None
    if not is_blank(base):
        raise ImageError("there is something else than an image already; expected one, or nothing but zeroes")
    return create(base, options.new_image())


def _repaired(base: Store, header: Header) -> Header:
    if header.incompatible & (Incompatible.DIRTY | Incompatible.CORRUPT):
        repair(base, "all")
        return read_header(base)
    return header


def _opened_chain(base: Store, header: Header, options: Qcow2Options, *, read_only: bool) -> Chain | None:
    if not header.backing_file and not header.has_data_file:
        return None
    if base.path is None:
        raise ImageError(
            "the image refers to other files; expected it in a file, so that they can be looked for beside that"
        )
    folder = base.path.parent
    named = (options.backing_file,) if options.backing_file else ()
    rules = Rules(
        (folder, *(folder / place for place in (*options.places, *named))), missing_format=options.backing_format or ""
    )
    return Chain(header, base.path, read_only=read_only, rules=rules)
