"""UNMAP and GET LBA STATUS (SBC-4 5.35, 5.6): thin provisioning."""

import struct
from collections.abc import Iterator
from typing import Any

from tgtcore import (
    PENDING,
    ReservationClass,
    Task,
    command,
    invalid_parameter,
    out_of_range,
    parameter_list_length_error,
)
from tgtcore_disk.medium import Medium, Steps

UNMAP_DESCRIPTORS_MAX = 256
UNMAP_BLOCKS_MAX = 1024 * 1024
"""Reported as MAXIMUM UNMAP LBA COUNT, for all descriptors together."""

_ANCHOR = 0x01
_HEADER = struct.Struct(">HH4x")
_DESCRIPTOR = struct.Struct(">QI4x")
_STATUS_HEADER = struct.Struct(">I4x")
_STATUS = struct.Struct(">QIB3x")
_MAPPED, _DEALLOCATED = 0, 1
_RUN_BLOCKS_MAX = 0xFFFF_FFFF
_DESCRIPTORS_MAX = 1024
"""As many as one answer has; an initiator asks again from where it ended."""


class ProvisioningCommands(Medium):
    """UNMAP and GET LBA STATUS, of a thin disk only."""

    def command_features(self) -> set[str]:
        """Whether the disk is thin."""
        return super().command_features() | ({"thin"} if self.thin else set())

    def wants_unmap(self, task: Task) -> int:
        """The parameter list length."""
        self.check_writable()
        return int.from_bytes(task.cdb[7:9], "big")

    @command(
        0x42, "42 01 00 00 00 00 3F FF FF 00",
        reservation=ReservationClass.WRITE, wants=wants_unmap, timeout_s=60, feature="thin",
    )  # fmt: skip
    def unmap(self, task: Task) -> Any:
        """UNMAP: every descriptor is checked before anything is done."""
        ranges = self._unmap_ranges(bytes(task.data_out or b"")[: task.wanted_out], task.wanted_out)
        if not ranges:
            return None
        self.check_writable()
        first = min(offset for offset, _ in ranges)
        end = max(offset + length for offset, length in ranges)
        if self.contended and not self.ranges.admit(task, first, end):
            return PENDING
        return self.gradually(task, first, end - first, self._unmap(task, ranges, not task.cdb[1] & _ANCHOR))

    def _unmap(self, task: Task, ranges: list[tuple[int, int]], unmap: bool) -> Steps:
        for offset, length in ranges:
            yield from self.zero(task, offset, length, unmap=unmap)
        if self.write_through:
            self.store.flush()

    def _unmap_ranges(self, data: bytes, wanted: int) -> list[tuple[int, int]]:
        """Offsets and lengths in a parameter list."""
        if not wanted:
            return []
        if len(data) < _HEADER.size:
            raise parameter_list_length_error()
        data_length, descriptors_length = _HEADER.unpack_from(data)
        if data_length + 2 > len(data) or descriptors_length + _HEADER.size > data_length + 2:
            raise parameter_list_length_error()
        count = descriptors_length // _DESCRIPTOR.size  # an incomplete last one is ignored
        if count > UNMAP_DESCRIPTORS_MAX:
            raise invalid_parameter(2)
        ranges = []
        total = 0
        for at, lba, blocks in _descriptors(data, count):
            total += blocks
            if total > UNMAP_BLOCKS_MAX:
                raise invalid_parameter(at + 8)
            if lba + blocks > self.blocks:
                raise out_of_range()
            if blocks:
                ranges.append((lba << self.shift, blocks << self.shift))
        return ranges

    def unmap_addressed(self, task: Task) -> tuple[range, ...]:
        """The blocks that a parameter list names, as far as it has come and makes sense."""
        data = bytes(task.data_out or b"")[: task.wanted_out]
        if len(data) < _HEADER.size:
            return ()
        _, descriptors_length = _HEADER.unpack_from(data)
        count = min(min(descriptors_length, len(data) - _HEADER.size) // _DESCRIPTOR.size, UNMAP_DESCRIPTORS_MAX)
        return tuple(range(lba, lba + blocks) for _, lba, blocks in _descriptors(data, count) if blocks)

    @command(
        0x9E, "9E 12 FF FF FF FF FF FF FF FF FF FF FF FF 00 00",
        service_action=0x12, reservation=ReservationClass.READ, feature="thin",
    )  # fmt: skip
    def get_lba_status(self, task: Task) -> Any:
        """GET LBA STATUS: which blocks have space, from an address on."""
        lba = int.from_bytes(task.cdb[2:10], "big")
        room = int.from_bytes(task.cdb[10:14], "big")
        self.check_ready()
        if lba >= self.blocks:
            raise out_of_range()
        count = max(1, min((room - _STATUS_HEADER.size) // _STATUS.size, _DESCRIPTORS_MAX))
        return task.offload(self._lba_status, lba, room, count)

    def _lba_status(self, lba: int, room: int, count: int) -> bytes:
        descriptors = b""
        for _, (first, blocks, status) in zip(range(count), self._runs(lba), strict=False):
            descriptors += _STATUS.pack(first, blocks, status)
        return (_STATUS_HEADER.pack(len(descriptors) + 4) + descriptors)[:room]

    def _runs(self, lba: int) -> Iterator[tuple[int, int, int]]:
        """Runs of blocks of one status, from ``lba`` on: (first block, number of blocks, status)."""
        start = end = lba
        status = _MAPPED
        for found_end, found in self._statuses(lba):
            if found != status:
                if end > start:
                    yield start, end - start, status
                start, status = end, found
            end = found_end
            while end - start > _RUN_BLOCKS_MAX:
                yield start, _RUN_BLOCKS_MAX, status
                start += _RUN_BLOCKS_MAX
        yield start, end - start, status

    def _statuses(self, lba: int) -> Iterator[tuple[int, int]]:
        """Up to where a status goes on, and which it is; a block with space in any part of it is mapped."""
        while lba < self.blocks:
            asked = lba
            offset = lba << self.shift
            for extent in self.store.extents(offset, self.size_bytes - offset):
                end = extent.offset + extent.length
                if not extent.allocated:
                    if extent.offset > lba << self.shift and end >> self.shift > lba:
                        yield (lba := lba + 1), _MAPPED  # the block is cut by the beginning of a hole
                    if end >> self.shift > lba:
                        yield (lba := end >> self.shift), _DEALLOCATED
                elif end > lba << self.shift:
                    yield (lba := min(self.blocks, -(-end >> self.shift))), _MAPPED
            if lba == asked:
                yield (lba := lba + 1), _MAPPED  # the block is cut by the end of what the store tells at once


def _descriptors(data: bytes, count: int) -> Iterator[tuple[int, int, int]]:
    """Where each of the first descriptors of a parameter list is, its first block and the number of its blocks."""
    for at in range(_HEADER.size, _HEADER.size + count * _DESCRIPTOR.size, _DESCRIPTOR.size):
        yield (at, *_DESCRIPTOR.unpack_from(data, at))
