from tgtcore.device import SharedCommands
from tgtcore.testing.device import DeviceTypeConformance
from tgtcore.testing.initiator import Bench


class Plain(SharedCommands):
    code = 0x03
    needs_store = False


class TestSharedCommands(DeviceTypeConformance):
    def add_device(self, bench: Bench) -> None:
        bench.add(Plain)
