from tgtcore_disk import Disk, DiskOptions

from tgtcore.testing.device import DeviceTypeConformance
from tgtcore.testing.initiator import Bench
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
