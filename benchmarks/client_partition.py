"""A client partition that puts a load on a virtual SCSI device, as a process of its own, and says what it did as JSON.

It does as little as a driver can: each request has its memory, its command, and its answer, which is known beforehand.
"""

import argparse
import json
import random
import time
from pathlib import Path

from tgtcore_ibmvio.client import VioClient
from tgtcore_ibmvio.crq.elements import FIELDS, Format, Header
from tgtcore_ibmvio.platform import Hcall
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.response import RESPONSE_BYTES, build_response

_LUN = 0x8000 << 48
_IU_BYTES = 256
_BLOCK_BYTES = 512
_CDB_AT = 32
_LBA_AT = _CDB_AT + 2
_READ_10, _WRITE_10 = 0x28, 0x2A
_PATIENCE_S = 20.0


class Load:
    """The load on one device.

    :param depth: how many commands are under way.
    :param image_bytes: size of the device.
    :param stride: how many places a command is behind the one before it; 0: anywhere.
    """

    def __init__(
        self, socket: Path, block_bytes: int, depth: int, image_bytes: int, stride: int, *, write: bool
    ) -> None:
        each = -(-(block_bytes + _IU_BYTES) // 4096) * 4096
        self._client = VioClient.attach(socket, requests=1, data_bytes=depth * each)
        self._client.connect()
        self._client.log_in()
        self._client.execute(bytes(6), _LUN)  # takes the unit attention of a new nexus
        self._memory = self._client.memory
        self._blocks = block_bytes // _BLOCK_BYTES
        self._places = image_bytes // block_bytes
        self._stride = stride
        self._next = 0
        first = len(self._memory) - depth * each
        self._units = [first + i * each + block_bytes for i in range(depth)]
        self._elements = [self._element(unit) for unit in self._units]
        self._answers = [build_response(tag, 1) for tag in range(depth)]
        for tag, unit in enumerate(self._units):
            self._write_command(tag, unit, block_bytes, write=write)
        self._commands = [bytes(self._memory[unit : unit + RESPONSE_BYTES]) for unit in self._units]

    def _element(self, unit: int) -> bytes:
        return FIELDS.pack(Header.COMMAND, Format.SRP, 0, 60, _IU_BYTES, self._client.address(unit))

    def _write_command(self, tag: int, unit: int, block_bytes: int, *, write: bool) -> None:
        data = BufferDescriptor.direct(Segment(self._client.address(unit - block_bytes), 0, block_bytes))
        operation = _WRITE_10 if write else _READ_10
        cdb = bytes((operation, 0, 0, 0, 0, 0, 0)) + self._blocks.to_bytes(2, "big") + bytes(7)
        iu = Command(tag, _LUN, 0, cdb, 0, data if write else None, None if write else data).build()
        self._memory[unit : unit + len(iu)] = iu

    def run(self, seconds: float) -> int:
        """Keep the device busy for so long; the number of commands that have ended."""
        begin = time.monotonic()
        until = begin + seconds
        for tag in range(len(self._units)):
            self._send(tag)
        under_way, ended = len(self._units), 0
        while under_way:
            elements = self._client.partition.receive(_PATIENCE_S)
            if not elements:
                raise TimeoutError(f"the server says nothing for {_PATIENCE_S:g} s")
            goes_on = time.monotonic() < until
            for element in elements:
                tag = self._answered(element)
                if goes_on:
                    self._send(tag)
            ended += len(elements)
            under_way -= 0 if goes_on else len(elements)
        return ended

    def _answered(self, element: bytes) -> int:
        """The tag of an answer, which has to be a good one; the command that was in its place is there again."""
        tag = int.from_bytes(element[8:], "big")
        unit = self._units[tag]
        end = unit + RESPONSE_BYTES
        if self._memory[unit:end] != self._answers[tag]:
            raise ConnectionError(f"an answer that is not good: {bytes(self._memory[unit:end]).hex()}")
        self._memory[unit:end] = self._commands[tag]
        return tag

    def _send(self, tag: int) -> None:
        if self._stride:
            self._next = place = (self._next + self._stride) % self._places
        else:
            place = int(random.random() * self._places)
        lba = self._units[tag] + _LBA_AT
        self._memory[lba : lba + 4] = (place * self._blocks).to_bytes(4, "big")
        if self._client.partition.send(self._elements[tag]) is not Hcall.SUCCESS:
            raise ConnectionError("the server's queue has no room")


def main() -> None:
    """Run one load."""
    parser = argparse.ArgumentParser(prog="benchmarks.client_partition", description=__doc__)
    parser.add_argument("socket", type=Path)
    parser.add_argument("--block-bytes", type=int, required=True)
    parser.add_argument("--depth", type=int, required=True)
    parser.add_argument("--image-bytes", type=int, required=True)
    parser.add_argument("--stride", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    load = Load(given.socket, given.block_bytes, given.depth, given.image_bytes, given.stride, write=given.write)
    begin = time.monotonic()
    commands = load.run(given.seconds)
    print(json.dumps({"commands": commands, "seconds": time.monotonic() - begin}))


if __name__ == "__main__":
    main()
