"""Names by which an image refers to other files, and what it may refer to.

Whoever wrote an image chose the names in it: they are a wish, not an order.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tgtcore_cow.qcow2.create_options import BACKING_FORMATS
from tgtcore_cow.qcow2.errors import ImageError

IMAGES_MAX = 64
"""Beneath one image.  A read may pass all of them, a handful of calls each, and the interpreter allows 1000 within one another;
each has a file open; and nobody means to have so many."""

_FILE = "file:"


@dataclass(frozen=True)
class Rules:
    """What an image may refer to, by itself or by way of others.

    :param places: folders, whose files may be opened and those of the folders in them, and single files and block devices.  Where
        a file really is counts: symbolic links lead nowhere else.
    :param missing_format: the format of backing files whose format the image does not name, ``raw`` or ``qcow2``.  Empty: they are
        refused.  It is never guessed from the bytes: whoever can write to a raw disk could make it look like an image
        that refers to any file.
    """

    places: tuple[Path, ...]
    missing_format: str = ""

    def __post_init__(self) -> None:
        if self.missing_format not in ("", *BACKING_FORMATS):
            raise ImageError(f"{self.missing_format!r} is no format; expected {' or '.join(BACKING_FORMATS)}")

    @classmethod
    def beside(cls, image: Path) -> "Rules":
        """An image may refer to what is in its folder and below."""
        return cls((image.parent,))

    def check(self, real: Path, status: os.stat_result) -> None:
        """Return if a file may be opened.

        :param real: where it is, without symbolic links.
        :raises ImageError: it may not.
        """
        places = [Path(os.path.realpath(place)) for place in self.places]
        if real in places or (stat.S_ISREG(status.st_mode) and any(place in real.parents for place in places)):
            return
        raise ImageError(
            f"the image may not refer to {real}; expected a file in {' or '.join(map(str, places))}, or that it is allowed"
        )

    def format_of(self, name: str, named: str) -> str:
        """The format of a backing file.

        :param named: what the image says.
        :raises ImageError: it is not supported, or not known.
        """
        found = named or self.missing_format
        if not found:
            raise ImageError(
                f"the image does not tell the format of its backing file {name!r}, and it is never guessed; expected "
                f"{' or '.join(BACKING_FORMATS)} (qemu-img rebase -u -b NAME -F FORMAT adds it)"
            )
        if found not in BACKING_FORMATS:
            raise ImageError(
                f"the format of the backing file {name!r} is {found!r}; expected {' or '.join(BACKING_FORMATS)}"
            )
        return found


def located(name: str, image: Path) -> Path:
    """Where a file is that an image refers to: a relative name begins in the folder of the image.

    :param name: as it stands in the image.
    :param image: the name by which that was opened.
    :raises ImageError: it is no name of a file, but one of a network server or a description of one.
    """
    path = name.removeprefix(_FILE)
    if path != name and not path.startswith("/"):
        raise ImageError(
            f"{name!r} begins wherever QEMU runs; expected an absolute name after {_FILE}, or none of both"
        )
    if ":" in path.partition("/")[0]:  # what QEMU takes for the name of a protocol
        raise ImageError(f"{name!r} is no name of a file; expected one (./ before it, if it is one)")
    return image.parent / path
