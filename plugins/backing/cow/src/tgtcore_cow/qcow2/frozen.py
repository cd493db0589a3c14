"""The disk as a snapshot holds it, while the image goes on."""

from dataclasses import replace

from tgtcore_cow.qcow2.reading import Reading
from tgtcore_cow.qcow2.snapshot_table import Snapshot
from tgtcore_cow.qcow2.volume import Volume


class Frozen:
    """What a snapshot holds; nothing of it changes as long as the snapshot is there.

    :param volume: of the image; its lock is held.
    """

    def __init__(self, volume: Volume, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        header = replace(
            volume.header,
            size_bytes=snapshot.size_bytes,
            l1_offset=snapshot.l1_offset,
            l1_entries=snapshot.l1_entries,
            snapshots=0,
            snapshots_offset=0,
        )
        self.volume = Volume(volume.file, header, volume.backing, volume.data_file)
        self.reading = Reading(self.volume)
