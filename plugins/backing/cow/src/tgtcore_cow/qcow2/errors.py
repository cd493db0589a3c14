"""What can be wrong with an image."""

from tgtcore import StoreError


class ImageError(StoreError):
    """The image can't be used: it is damaged, or needs what is not supported.  The message says what, and what was expected."""


class Corrupt(ImageError):
    """What the image says of itself contradicts itself; check and repair it."""
