"""An image file whose calls all take a worker of the daemon: none is done at once."""

from tgtcore_file.file import FileStore

from tgtcore import Buffer, Region


class WorkerFile(FileStore):
    """What stores for tests are made of that take their time."""

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """Never at once."""
        return None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """Never at once."""
        return False

    def region(self, offset: int, length: int) -> Region | None:
        """Never at once."""
        return None
