from hypothesis import given
from hypothesis import strategies as st
from tgtcore_disk.compare import first_difference, miscompare

from tgtcore.scsi.sense import SenseKey


@given(st.binary(max_size=300), st.data())
def test_the_first_byte_that_differs(data: bytes, choose: st.DataObject) -> None:
    assert first_difference(data, bytearray(data)) is None
    if data:
        places = choose.draw(st.sets(st.integers(0, len(data) - 1), min_size=1))
        other = bytes(byte ^ 1 if at in places else byte for at, byte in enumerate(data))
        assert first_difference(memoryview(data), other) == min(places)


def test_the_sense_data() -> None:
    error = miscompare(7)
    assert (error.key, error.code, error.information) == (SenseKey.MISCOMPARE, (0x1D, 0x00), 7)
