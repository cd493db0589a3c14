"""What can be wrong with an image."""

from tgtcore import StoreError


class ImageError(StoreError):
    """The image can't be used: it is damaged, or needs what is not supported.  The message says what, and what was expected."""


class Corrupt(ImageError):
    """What the image says of itself contradicts itself; check and repair it."""


def printable(text: str) -> str:
    """A text from an image as it can be shown: whatever does something to a terminal or can't be encoded is escaped."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
