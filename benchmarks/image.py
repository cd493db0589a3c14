"""Images to measure on."""

from pathlib import Path

_READ_BYTES = 1 << 20


def fill(image: Path, size_bytes: int) -> None:
    """An image without holes, in the page cache."""
    chunk = bytes(range(256)) * 4096
    with image.open("wb") as file:
        for _ in range(size_bytes // len(chunk)):
            file.write(chunk)


def read_in(*images: Path) -> None:
    """Have images in the page cache again: the machine may have dropped one of them meanwhile, and not the other."""
    for image in images:
        with image.open("rb") as file:
            while file.read(_READ_BYTES):
                pass
