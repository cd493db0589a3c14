"""The log pages of a disk (SPC-5 7.3, SBC-4 6.4)."""

import struct
from collections.abc import Iterator

from tgtcore import LogPage
from tgtcore.scsi.log import LogParameter
from tgtcore_disk.transfer import TransferCommands

_TEMPERATURE, _STATISTICS, _EXCEPTIONS = (0x0D, 0), (0x19, 0), (0x2F, 0)
_NO_TEMPERATURE = 0xFF
_GENERAL = struct.Struct(">QQQQQQQQ")
_IDLE_TIME = bytes(8)
_TIME_INTERVAL = bytes(8)
"""Exponent and integer of the interval in which times are counted: none is."""


class DiskLogPages(TransferCommands):
    """Temperature (there is none), General Statistics and Performance, Informational Exceptions."""

    def log_pages(self) -> dict[tuple[int, int], LogPage]:
        """The pages."""
        return {
            **super().log_pages(),
            _TEMPERATURE: self._temperature,
            _STATISTICS: self._statistics,
            _EXCEPTIONS: self._exceptions,
        }

    def _temperature(self) -> Iterator[LogParameter]:
        yield LogParameter(0, bytes((0, _NO_TEMPERATURE)))

    def _exceptions(self) -> Iterator[LogParameter]:
        yield LogParameter(0, bytes((0, 0, _NO_TEMPERATURE, 0)))

    def _statistics(self) -> Iterator[LogParameter]:
        """Commands and blocks; times are not measured."""
        yield LogParameter(
            1,
            _GENERAL.pack(self.reads, self.writes, self.blocks_written, self.blocks_read, 0, 0, 0, 0),
        )
        yield LogParameter(2, _IDLE_TIME)
        yield LogParameter(3, _TIME_INTERVAL)
