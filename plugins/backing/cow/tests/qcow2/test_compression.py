import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_cow.qcow2.compression import decompress, zstd
from tgtcore_cow.qcow2.errors import Corrupt

CLUSTER = bytes(range(256)) * 256


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-12)
    return packer.compress(data) + packer.flush()


PACK = {"zlib": _deflated, "zstd": zstd.compress}
methods = pytest.mark.parametrize("method", PACK)


@methods
@pytest.mark.parametrize("behind", [b"", bytes(512), b"\xff" * 700])
def test_what_was_packed_comes_back_whatever_is_behind_it(method: str, behind: bytes) -> None:
    assert decompress(method, PACK[method](CLUSTER) + behind, len(CLUSTER)) == CLUSTER


@methods
def test_data_that_ends_early_is_damaged(method: str) -> None:
    packed = PACK[method](CLUSTER)
    with pytest.raises(Corrupt, match=r"a compressed cluster has \d+ bytes, expected 65536"):
        decompress(method, packed[: len(packed) // 2], len(CLUSTER))


@methods
def test_less_than_a_cluster_is_damaged(method: str) -> None:
    with pytest.raises(Corrupt, match="a compressed cluster has 512 bytes, expected 1024"):
        decompress(method, PACK[method](bytes(512)), 1024)


@methods
def test_a_bomb_takes_no_more_than_a_cluster(method: str) -> None:
    assert decompress(method, PACK[method](bytes(64 << 20)), 512) == bytes(512)


@methods
def test_what_was_never_packed_is_damaged(method: str) -> None:
    with pytest.raises(Corrupt, match="a compressed cluster can't be read: "):
        decompress(method, b"\xff" * 512, 65536)


@methods
@given(data=st.binary(max_size=600))
def test_hostile_bytes_are_damaged_or_a_cluster(method: str, data: bytes) -> None:
    try:
        assert len(decompress(method, data, 512)) == 512
    except Corrupt as error:
        assert "compressed cluster" in str(error)


@methods
@given(at=st.integers(0, 299), value=st.integers(0, 255))
def test_one_damaged_byte_raises_nothing_else(method: str, at: int, value: int) -> None:
    packed = bytearray(PACK[method](CLUSTER))
    packed[at % len(packed)] = value
    try:
        assert len(decompress(method, bytes(packed), len(CLUSTER))) == len(CLUSTER)
    except Corrupt as error:
        assert "compressed cluster" in str(error)
