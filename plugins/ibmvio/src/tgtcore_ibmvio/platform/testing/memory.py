"""What a platform promises of copies between its memory and a client partition's."""

import pytest

from tgtcore_ibmvio.platform.contract import ELEMENT_BYTES
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.testing.rig import Client, Rig


class MemoryPromises:
    """Tests of copies and views."""

    @pytest.mark.parametrize("length", [1, 7, 16, 4095, 4096, 4097, 8192, 12001])
    @pytest.mark.parametrize("within", [0, 1, 4000])
    def test_copies(self, rig: Rig, client: Client, length: int, within: int) -> None:
        """Of every length and at every place, and nothing beside them changes."""
        length = min(length, client.memory_bytes - within, rig.adapter.copy_bytes_max)
        address = client.memory + within
        data = bytes(byte % 251 + 1 for byte in range(length))
        client.poke(address, bytes(length))
        assert rig.adapter.write(address, data) is Hcall.SUCCESS
        assert client.peek(address, length) == data
        into = bytearray(length + 2)
        assert rig.adapter.read(address, memoryview(into)[1:-1]) is Hcall.SUCCESS
        assert into == b"\0" + data + b"\0"

    def test_the_longest_copy(self, rig: Rig, client: Client) -> None:
        """It may have as much as the adapter says."""
        data = bytearray(rig.adapter.copy_bytes_max)
        data[-1] = 7
        assert rig.adapter.write(client.memory, data) is Hcall.SUCCESS
        into = bytearray(len(data))
        assert rig.adapter.read(client.memory, memoryview(into)) is Hcall.SUCCESS
        assert into == data

    def test_nothing_to_copy(self, rig: Rig, client: Client) -> None:
        """It is done at once."""
        assert rig.adapter.write(client.memory, b"") is Hcall.SUCCESS
        assert rig.adapter.read(client.memory, memoryview(b"")) is Hcall.SUCCESS

    def test_what_may_not_be_read(self, rig: Rig, client: Client) -> None:
        """The answer says so, and what may only be written can be written."""
        into = memoryview(bytearray(ELEMENT_BYTES))
        for address in (client.write_only, client.unmapped, client.outside, (1 << 64) - 8, client.outside - 8):
            assert rig.adapter.read(address, into) in (Hcall.PERMISSION, Hcall.SOURCE_PARM), hex(address)
            assert rig.adapter.views(address, ELEMENT_BYTES, writable=False) is None
        assert rig.adapter.write(client.write_only, b"something") is Hcall.SUCCESS
        assert client.peek(client.write_only, 9) == b"something"

    def test_what_may_not_be_written(self, rig: Rig, client: Client) -> None:
        """The answer says so, nothing has changed, and what may only be read can be read."""
        client.poke(client.read_only, b"something")
        data = bytes(ELEMENT_BYTES)
        for address in (client.read_only, client.unmapped, client.outside, (1 << 64) - 8, client.outside - 8):
            assert rig.adapter.write(address, data) in (Hcall.PERMISSION, Hcall.DEST_PARM), hex(address)
            assert rig.adapter.views(address, ELEMENT_BYTES, writable=True) is None
        into = bytearray(9)
        assert rig.adapter.read(client.read_only, memoryview(into)) is Hcall.SUCCESS
        assert into == b"something"

    def test_memory_that_is_mapped(self, rig: Rig, client: Client) -> None:
        """Views are the memory itself, and outlive the client."""
        length = 8192
        views = rig.adapter.views(client.memory + 100, length, writable=True)
        if views is None:
            assert rig.adapter.views(client.memory, length, writable=False) is None
            return
        assert sum(len(view) for view in views) == length
        client.poke(client.memory + 100, bytes(byte % 256 for byte in range(length)))
        assert b"".join(views) == client.peek(client.memory + 100, length)
        views[0][0] = 77
        assert client.peek(client.memory + 100, 1) == bytes([77])
        client.fail()
        rig.until(lambda: rig.adapter.partner is None, "the end of the partner")
        views[-1][-1] = 78
        assert views[-1][-1] == 78
