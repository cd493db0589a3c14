import tracemalloc

from tgtcore_disk import Disk, DiskOptions

from tgtcore.testing.device import DeviceTypeConformance
from tgtcore.testing.initiator import Bench, bench
from tgtcore.testing.ram import RamStore


class TestDisk(DeviceTypeConformance):
    def add_device(self, bench: Bench) -> None:
        bench.add(Disk, RamStore())


class TestRemovableDisk(DeviceTypeConformance):
    def add_device(self, bench: Bench) -> None:
        bench.add(Disk, RamStore(), DiskOptions(removable=True, block_size=4096))


class TestReadOnlyDisk(DeviceTypeConformance):
    def add_device(self, bench: Bench) -> None:
        bench.add(Disk, RamStore(), read_only=True)


def test_thousands_of_disks_take_little_memory_each() -> None:
    """A disk with more than 29 attributes needs a dictionary of its own: 1.5 kB more of memory that commands have to touch."""
    disks = 200
    with bench() as made:
        made.add(Disk, RamStore(512))
        tracemalloc.start()
        try:
            for _ in range(disks):
                made.add(Disk, RamStore(512))
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken / disks < 6 * 1024
