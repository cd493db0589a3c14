"""How a client partition attaches, without the socket: what it says, and what it is told."""

import os
from dataclasses import dataclass

from tgtcore_ibmvio.platform.emulated.memory import SharedMemory
from tgtcore_ibmvio.platform.emulated.wire import MAGIC, WELCOME, Geometry, Hello, Refused

DESCRIPTORS = 3
"""Memory, the doorbell to ring, the doorbell to hear."""


@dataclass
class Machine:
    """What a client partition has of its machine.

    :param rung: the doorbell that the server hears.
    :param heard: the doorbell that the server rings.
    """

    unit_address: int
    shared: SharedMemory
    rung: int
    heard: int


def welcomed(hello: Hello, packet: bytes, descriptors: list[int]) -> Machine:
    """What the answer to a hello gives.

    :raises Refused: the partition may not attach; the message says why.
    :raises OSError: whoever has answered is no machine, or its memory can't be mapped.
    """
    try:
        return _welcomed(hello, packet, descriptors)
    except BaseException:
        for fd in descriptors:
            os.close(fd)
        raise


def _welcomed(hello: Hello, packet: bytes, descriptors: list[int]) -> Machine:
    if len(packet) != WELCOME.size:
        raise ConnectionResetError("the machine has gone without an answer")
    magic, _, status, unit_address, _, total_bytes, queue, table, memory, text = WELCOME.unpack(packet)
    if magic != MAGIC:
        raise ConnectionError("whoever answers is no machine with partitions")
    if status:
        raise Refused(text.rstrip(b"\0").decode("utf-8", "replace"), status)
    if len(descriptors) != DESCRIPTORS:
        raise ConnectionError(f"the machine gave {len(descriptors)} descriptors, expected {DESCRIPTORS}")
    memory_fd, rung, heard = descriptors
    geometry = Geometry(total_bytes, queue, table, memory, hello.window_start, hello.window_bytes)
    shared = SharedMemory(memory_fd, geometry)
    os.close(memory_fd)
    return Machine(unit_address, shared, rung, heard)
