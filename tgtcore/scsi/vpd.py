"""Vital product data pages (SPC-5 7.7, SBC-4 6.6): each function gives a page's bytes after its four-byte header."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from tgtcore.scsi.designators import Association, relative_target_port, scsi_name_string


class Page(IntEnum):
    """Page codes."""

    SUPPORTED_PAGES = 0x00
    UNIT_SERIAL_NUMBER = 0x80
    DEVICE_IDENTIFICATION = 0x83
    EXTENDED_INQUIRY_DATA = 0x86
    MODE_PAGE_POLICY = 0x87
    SCSI_PORTS = 0x88
    BLOCK_LIMITS = 0xB0
    BLOCK_DEVICE_CHARACTERISTICS = 0xB1
    LOGICAL_BLOCK_PROVISIONING = 0xB2


def vpd_page(code: int, body: bytes, *, device_type: int, qualifier: int = 0) -> bytes:
    """A whole page with its header."""
    return bytes((qualifier << 5 | device_type, code)) + len(body).to_bytes(2, "big") + body


def supported_pages(codes: Iterable[int]) -> bytes:
    """Page 00h: every page code there is, in ascending order."""
    return bytes(sorted({Page.SUPPORTED_PAGES, *codes}))


def unit_serial_number(serial: str) -> bytes:
    """Page 80h."""
    return serial.encode("ascii")


@dataclass(frozen=True, kw_only=True)
class ExtendedInquiry:
    """Page 86h (SPC-5 7.7.7); times in minutes.

    :param unit_attention_sense: UASK_SUP: sense key specific data comes with UNIT ATTENTION; :class:`~tgtcore.scsi.sense.Sense`
        sends none.
    :param clears_attention_by_lun: LUICLR: REPORTED LUNS DATA HAS CHANGED, told through one logical unit, is cleared on every
        other one of the nexus; REPORT LUNS clears it on all of them in any case.
    :param sense_bytes_max: longest sense data, 0: not reported.
    """

    head_of_queue: bool = True
    ordered: bool = True
    simple: bool = True
    unit_attention_sense: bool = False
    clears_attention_by_lun: bool = False
    write_uncorrectable: bool = False
    volatile_cache: bool = False
    extended_self_test_min: int = 0
    sense_bytes_max: int = 0

    def encode(self) -> bytes:
        """The page's bytes."""
        data = bytearray(60)
        data[1] = self.unit_attention_sense << 5 | self.head_of_queue << 2 | self.ordered << 1 | int(self.simple)
        data[2] = self.write_uncorrectable << 3 | self.volatile_cache
        data[3] = int(self.clears_attention_by_lun)
        data[6:8] = self.extended_self_test_min.to_bytes(2, "big")
        data[9] = self.sense_bytes_max
        return bytes(data)


@dataclass(frozen=True)
class Port:
    """A target port for page 88h."""

    relative_id: int
    name: str
    protocol: int


def scsi_ports(ports: Sequence[Port]) -> bytes:
    """Page 88h (SPC-5 7.7.14): every target port of the target device."""
    body = b""
    for port in ports:
        names = scsi_name_string(port.name, Association.TARGET_PORT, port.protocol)
        body += bytes(2) + port.relative_id.to_bytes(2, "big") + bytes(4)
        body += bytes(2) + len(names).to_bytes(2, "big") + names
    return body


def port_designators(port: Port) -> bytes:
    """What page 83h says of the port that the command came through."""
    return relative_target_port(port.relative_id, port.protocol) + scsi_name_string(
        port.name, Association.TARGET_PORT, port.protocol
    )


@dataclass(frozen=True, kw_only=True)
class BlockLimits:
    """Page B0h (SBC-4 6.6.4); lengths in logical blocks, 0: not reported (not supported for the last five).

    :param unmap_alignment: None: not reported.
    :param write_same_zero_means_zero: WSNZ: WRITE SAME of zero blocks is refused and does not mean the rest of the medium.
    """

    optimal_granularity: int = 0
    transfer_max: int = 0
    transfer_optimal: int = 0
    prefetch_max: int = 0
    compare_and_write_max: int = 0
    unmap_blocks_max: int = 0
    unmap_descriptors_max: int = 0
    unmap_granularity: int = 0
    unmap_alignment: int | None = None
    write_same_max: int = 0
    write_same_zero_means_zero: bool = True

    def encode(self) -> bytes:
        """The page's bytes."""
        data = bytearray(60)
        data[0] = int(self.write_same_zero_means_zero)
        data[1] = self.compare_and_write_max
        data[2:4] = self.optimal_granularity.to_bytes(2, "big")
        data[4:8] = self.transfer_max.to_bytes(4, "big")
        data[8:12] = self.transfer_optimal.to_bytes(4, "big")
        data[12:16] = self.prefetch_max.to_bytes(4, "big")
        data[16:20] = self.unmap_blocks_max.to_bytes(4, "big")
        data[20:24] = self.unmap_descriptors_max.to_bytes(4, "big")
        data[24:28] = self.unmap_granularity.to_bytes(4, "big")
        if self.unmap_alignment is not None:
            data[28:32] = (1 << 31 | self.unmap_alignment).to_bytes(4, "big")
        data[32:40] = self.write_same_max.to_bytes(8, "big")
        return bytes(data)


NON_ROTATING = 1


def block_device_characteristics(rotation_rate: int) -> bytes:
    """Page B1h (SBC-4 6.6.2).

    :param rotation_rate: 0 not reported, 1 does not rotate, else revolutions per minute.
    """
    data = bytearray(60)
    data[0:2] = rotation_rate.to_bytes(2, "big")
    return bytes(data)


@dataclass(frozen=True, kw_only=True)
class Provisioning:
    """Page B2h (SBC-4 6.6.7).

    :param reads_zeroes: LBPRZ: unmapped blocks read as zeroes.
    :param threshold_exponent: thresholds count sets of two to this power blocks; 0: there are no thresholds.
    """

    thin: bool
    unmap: bool = False
    write_same_unmap_16: bool = False
    write_same_unmap_10: bool = False
    reads_zeroes: bool = True
    anchor: bool = False
    threshold_exponent: int = 0

    def encode(self) -> bytes:
        """The page's bytes."""
        flags = (
            self.unmap << 7
            | self.write_same_unmap_16 << 6
            | self.write_same_unmap_10 << 5
            | self.reads_zeroes << 2
            | self.anchor << 1
        )
        return bytes((self.threshold_exponent, flags, 2 if self.thin else 0, 0))
