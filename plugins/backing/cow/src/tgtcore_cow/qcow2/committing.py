"""Writing what an image has itself down into what it stands on."""

from collections.abc import Iterator

from tgtcore import Features, Store
from tgtcore_cow.qcow2.copying import copy_own
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.image import Image


def commit(image: Image, backing: Store) -> Iterator[int]:
    """Write what an image has itself into what it stands on, and then empty the image; says after each step up to where it is.

    At every moment the disk reads the same: what is written beneath is hidden until all of it is durable, and then the image is
    emptied at one stroke.  What is beneath becomes as long as the disk, if it is shorter.

    :param backing: what the image was opened with, for writing.
    :raises ImageError: what is beneath can't be written or become longer, or the image has snapshots, which would change.
    """
    if image.snapshots:
        raise ImageError("the image has snapshots, which would change with what they stand on; delete them first")
    if Features.WRITE not in backing.features():
        raise ImageError("what the image stands on can't be written")
    if backing.size_bytes < image.size_bytes:
        if Features.RESIZE not in backing.features():
            raise ImageError(
                f"what the image stands on has {backing.size_bytes} bytes and can't grow; expected {image.size_bytes} or more"
            )
        backing.resize(image.size_bytes)
    yield from copy_own(image.volume, image.reading, image.size_bytes, backing)
    backing.flush()
    image.empty()
