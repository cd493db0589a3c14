from tgtcore.device import SharedCommands
from tgtcore.scsi import asc
from tgtcore.testing.initiator import bench


class Plain(SharedCommands):
    code = 0x03
    needs_store = False


def test_figures_of_a_nexus() -> None:
    with bench(threads=1) as made:
        made.add(Plain)
        initiator = made.initiator()
        initiator.execute("12 00 00 00 10")
        initiator.execute("15 10 00 00 04", bytes(4))
        initiator.execute("ff")
        itl = initiator.nexus.itl(0)
        assert itl is not None
        assert itl.statistics() == {"commands": 3, "errors": 1, "bytes_in": 16, "bytes_out": 4}


def test_a_reset_makes_older_attentions_moot() -> None:
    with bench(threads=1) as made:
        made.add(Plain)
        itl = made.initiator().nexus.itl(0)
        assert itl is not None
        for code in (asc.MODE_PARAMETERS_CHANGED, asc.MODE_PARAMETERS_CHANGED, asc.CAPACITY_DATA_HAS_CHANGED):
            itl.establish_attention(code)
        assert itl.attentions == [asc.MODE_PARAMETERS_CHANGED, asc.CAPACITY_DATA_HAS_CHANGED]
        itl.establish_attention(asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED)
        assert itl.attentions == [asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED]
