"""Images to measure on."""

from pathlib import Path


def fill(image: Path, size_bytes: int) -> None:
    """An image without holes, in the page cache."""
    chunk = bytes(range(256)) * 4096
    with image.open("wb") as file:
        for _ in range(size_bytes // len(chunk)):
            file.write(chunk)
